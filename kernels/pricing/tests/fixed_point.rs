//! The kernel's doubles against Black-76 in fixed point, on every path, over a grid that reaches to the domain's edges.

mod fixed;

use fixed::black::{Terms, Values};
use fixed::{density, divide, exp, inside, ln, mills_far, normal, pi, sqrt, times, BITS, FAR, ONE};
use holdfast_pricing::golden::Draws;
use holdfast_pricing::{BlackJob, Path};

/// How far the fixed point itself may be off.
const ERROR: i128 = 1 << (BITS - 80);
/// 1e-15 of the larger of forward and strike; found are 4.9e-16.
const PRICE_ERROR: i128 = ONE / 1_000_000_000_000_000;
/// Found are 3.7e-16 of theta and 2.9e-16 of delta, loosened as `check` tells.
const GREEK_ERROR: i128 = PRICE_ERROR / 2;

#[allow(clippy::cast_precision_loss, reason = "all are below 2^53")]
fn to_float(number: i64) -> f64 {
    number as f64
}

#[allow(clippy::cast_possible_truncation, reason = "all are below 2^53")]
fn round(number: f64) -> i64 {
    number.round() as i64
}

/// A share in fixed point of a whole number below 2^40, rounded to the nearest.
fn round_times(share: i128, whole: f64) -> i64 {
    let whole = i128::from(round(whole));
    i64::try_from((times(share, whole << 80) + (1 << 79)) >> 80).expect("a price fits")
}

fn compute(path: Path, options: &[Terms]) -> Vec<[f64; 5]> {
    let column = |get: fn(&Terms) -> f64| options.iter().map(get).collect::<Vec<_>>();
    let is_call: Vec<u8> = options.iter().map(|option| option.is_call.into()).collect();
    let mut out = [(); 5].map(|()| vec![0.0; options.len()]);
    let [price, delta, gamma, vega, theta] = &mut out;
    let mut is_valid = true;
    path.run(BlackJob {
        forward: &column(|option| option.forward),
        strike: &column(|option| option.strike),
        variance: &column(|option| option.variance),
        years: &column(|option| option.years),
        is_call: &is_call,
        price,
        delta,
        gamma,
        vega,
        theta,
        is_valid: &mut is_valid,
    });
    assert!(is_valid, "the options lie inside the domain");
    (0..options.len()).map(|i| out.each_ref().map(|column| column[i])).collect()
}

/// Strikes from a millionth of the forward to a million times it, thick around it, so that both reach the ends of the
/// domain; volatilities from 0.1 % to 500 %, times from a minute to two years: deviations from 1.4e-6 to 7.
fn make_grid() -> Vec<Terms> {
    const FORWARDS: [f64; 4] = [1e-6, 0.3, 65_432.1, 9e8];
    const MOVES: [f64; 17] =
        [1e-6, 1e-3, 0.1, 0.4, 0.7, 0.9, 0.97, 0.999, 1.0, 1.001, 1.03, 1.1, 1.4, 2.5, 10.0, 1e3, 1e6];
    const VOLATILITIES: [f64; 9] = [0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 1.5, 3.0, 5.0];
    const YEARS: [f64; 7] = [1.9e-6, 1e-4, 0.003, 0.02, 0.25, 1.0, 2.0];
    let mut grid = Vec::new();
    for forward in FORWARDS {
        for moved in MOVES {
            for volatility in VOLATILITIES {
                for years in YEARS {
                    for is_call in [false, true] {
                        let (strike, variance) = (forward * moved, volatility * volatility * years);
                        grid.push(Terms { forward, strike, variance, years, is_call });
                    }
                }
            }
        }
    }
    grid
}

/// e^x by operations that every machine does alike.
fn exp_roughly(x: f64) -> f64 {
    (0..10).fold(1.0 + x / 1024.0, |power, _| power * power)
}

/// Strikes up to four deviations away, where prices and Greeks are neither certain nor nothing.
fn draw_near_options() -> Vec<Terms> {
    let mut draws = Draws::new(20_251_013);
    let mut float = |low: i64, high: i64| to_float(draws.one(low, high)) / 1e6;
    let make = |_| {
        let (forward, years) = (float(1_000_000, 2_000_000_000), float(1, 3_000_000));
        let deviation = float(20, 4_000_000);
        let strike = forward * exp_roughly(deviation * float(-4_000_000, 4_000_000));
        Terms { forward, strike, variance: deviation * deviation, years, is_call: float(0, 1) > 0.0 }
    };
    (0..4_000).map(make).collect()
}

/// Greeks are as ill-conditioned as ln(strike / forward) over the deviation.
fn check(option: &Terms, found: &Values, exact: &Values) {
    let loosened = GREEK_ERROR + divide(GREEK_ERROR, option.deviation());
    let differences = [
        ("price", found.price - exact.price, PRICE_ERROR),
        ("delta", found.delta - exact.delta, loosened),
        ("gamma", found.gamma - exact.gamma, loosened),
        ("vega", found.vega - exact.vega, loosened),
        ("theta", found.theta - exact.theta, GREEK_ERROR),
    ];
    for (name, difference, bound) in differences {
        assert!(difference.abs() <= bound, "{name} of {option:?} is {found:?} where {exact:?} is exact");
    }
    if option.is_outside() {
        let bound = times(PRICE_ERROR, option.nearness()) + ERROR;
        assert!(
            (found.price - exact.price).abs() <= bound,
            "the price of {option:?}, out of the money, errs by more than {bound}"
        );
    }
}

fn check_all(options: &[Terms]) {
    let exact: Vec<Values> = options.iter().map(Terms::compute).collect();
    for path in Path::all() {
        for ((option, found), exact) in options.iter().zip(compute(path, options)).zip(&exact) {
            check(option, &option.normalise(found), exact);
        }
    }
}

#[test]
fn price_and_greeks_over_the_grid_are_those_of_fixed_point() {
    check_all(&make_grid());
}

#[test]
fn price_and_greeks_some_deviations_away_are_those_of_fixed_point() {
    check_all(&draw_near_options());
}

#[test]
fn price_without_variance_is_the_intrinsic_value() {
    let terms = |strike, is_call| Terms { forward: 100.0, strike, variance: 0.0, years: 1.0, is_call };
    let options = [terms(80.0, true), terms(80.0, false), terms(120.0, true), terms(120.0, false)];
    for path in Path::all() {
        let prices: Vec<f64> = compute(path, &options).into_iter().map(|[price, ..]| price).collect();
        assert_eq!(prices, [20.0, 0.0, 0.0, 20.0]);
    }
}

#[test]
fn prices_in_millionths_round_as_those_of_fixed_point() {
    let mut draws = Draws::new(20_251_014);
    let mut float = |low: i64, high: i64| to_float(draws.one(low, high));
    let make = |_| {
        let forward = float(10_000_000_000, 200_000_000_000);
        let strike = (forward * float(400, 2_500) / 1e3).round();
        let deviation = float(1, 1_500_000) / 1e6;
        Terms { forward, strike, variance: deviation * deviation, years: 1.0, is_call: float(0, 1) > 0.0 }
    };
    let options: Vec<Terms> = (0..4_000).map(make).collect();
    for (option, [price, ..]) in options.iter().zip(compute(Path::all()[0], &options)) {
        let exact = option.compute().price;
        assert_eq!(round(price), round_times(exact, option.larger()), "{option:?}");
    }
}

#[test]
fn series_and_continued_fraction_of_the_distribution_meet() {
    let series = divide(ONE / 2, density(FAR)) - inside(FAR);
    assert!((series - mills_far(FAR)).abs() < ERROR);
    assert_eq!(normal(-FAR) + normal(FAR), ONE);
}

#[test]
fn logarithm_undoes_the_exponential_and_the_square_the_root() {
    assert!((ln(exp(-ONE / 2)) + ONE / 2).abs() < ERROR);
    let root = sqrt(2 * ONE);
    assert!((times(root, root) - 2 * ONE).abs() < ERROR);
}

#[test]
fn circle_number_has_its_known_digits() {
    assert_eq!(times(pi() - 3 * ONE, 10_i128.pow(26)), 14_159_265_358_979_323_846_264_338);
}
