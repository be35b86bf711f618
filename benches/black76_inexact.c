/* Black-76 price and four Greeks at C speed, allowed to be inexact: the peer of `holdfast bench risk` that tells what
 * determinism costs. The compiler may fuse, reassociate and vectorise (-Ofast), and log and erfc are libmvec's, so the
 * bits differ from one machine to the next. Forward and strike in any one money; variance is the total to expiry; vega
 * is for a volatility of one, theta for a year.
 */
#include <math.h>
#include <stdint.h>

void black76_inexact(long count, const double *restrict forward, const double *restrict strike,
                     const double *restrict variance, const double *restrict years, const uint8_t *restrict is_call,
                     double *restrict price, double *restrict delta, double *restrict gamma, double *restrict vega,
                     double *restrict theta)
{
    const double one_over_sqrt_2 = 0.70710678118654752440, one_over_sqrt_2pi = 0.39894228040143267794;
    for (long i = 0; i < count; i++) {
        double f = forward[i], k = strike[i], deviation = sqrt(variance[i]), sign = is_call[i] ? 1.0 : -1.0;
        double upper = log(f / k) / deviation + 0.5 * deviation, lower = upper - deviation;
        double near = 0.5 * erfc(-sign * upper * one_over_sqrt_2), far = 0.5 * erfc(-sign * lower * one_over_sqrt_2);
        double density = f * one_over_sqrt_2pi * exp(-0.5 * upper * upper);
        price[i] = sign * (f * near - k * far);
        delta[i] = sign * near;
        gamma[i] = density / (f * f * deviation);
        vega[i] = density * sqrt(years[i]);
        theta[i] = -0.5 * density * deviation / years[i];
    }
}
