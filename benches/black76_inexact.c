/* Black-76 price and four Greeks at C speed, allowed to be inexact: the peer of `holdfast bench risk` that tells what
 * determinism costs. The compiler may fuse, reassociate and vectorise (-Ofast), exp, log and erfc are libmvec's, so the
 * bits differ from one machine to the next. Forward and strike in any one money, years, volatility per year and 1 or
 * -1 for a call or a put; theta is a year's.
 */
#include <math.h>

void black76_inexact(long count, const double *restrict forward, const double *restrict strike,
                     const double *restrict deviation, const double *restrict sign, double *restrict price,
                     double *restrict delta, double *restrict gamma, double *restrict vega, double *restrict theta)
{
    const double one_over_sqrt_2 = 0.70710678118654752440, one_over_sqrt_2pi = 0.39894228040143267794;
    for (long i = 0; i < count; i++) {
        double f = forward[i], k = strike[i], d = deviation[i], s = sign[i];
        double upper = log(f / k) / d + 0.5 * d, lower = upper - d;
        double n_upper = 0.5 * erfc(-s * upper * one_over_sqrt_2), n_lower = 0.5 * erfc(-s * lower * one_over_sqrt_2);
        double density = f * one_over_sqrt_2pi * exp(-0.5 * upper * upper);
        price[i] = s * (f * n_upper - k * n_lower);
        delta[i] = s * n_upper;
        gamma[i] = density / (f * f * d);
        vega[i] = density;
        theta[i] = -0.5 * density * d;
    }
}
