/* Optimisers. Each is one fused loop over the parameters: memory is what they wait for. The arithmetic follows PyTorch's
 * torch.optim, step by step. */
#include "train/optimiser.h"

#include <math.h>
#include <string.h>

/* Sutskever et al. 2013, in the form of torch.optim.SGD: v = μ v + g;  w −= rate · (nesterov ? g + μ v : v). */
static void sgd(const mcl_update *u, int64_t n, float *restrict w, const float *restrict gradient, float *restrict v,
                float *restrict unused) {
  (void)unused;
  float rate = u->rate, momentum = u->momentum, decay = u->weight_decay, scale = u->gradient_scale;
  float by_gradient = u->nesterov ? 1 : 0, by_velocity = u->nesterov ? momentum : 1;
  for (int64_t i = 0; i < n; i++) {
    float g = gradient[i] * scale + decay * w[i];
    float velocity = momentum * v[i] + g;
    v[i] = velocity;
    w[i] -= rate * (by_gradient * g + by_velocity * velocity);
  }
}

static void sgd_plain(const mcl_update *u, int64_t n, float *restrict w, const float *restrict gradient,
                      float *restrict unused0, float *restrict unused1) {
  (void)unused0, (void)unused1;
  float rate = u->rate, decay = u->weight_decay, scale = u->gradient_scale;
  for (int64_t i = 0; i < n; i++) w[i] -= rate * (gradient[i] * scale + decay * w[i]);
}

/* Kingma and Ba 2015; where `shrink` is not 1, with the decay apart from the gradient: Loshchilov and Hutter 2019. */
static inline void adam_loop(const mcl_update *u, int64_t n, float *restrict w, const float *restrict gradient,
                             float *restrict m, float *restrict v, float decay, float shrink) {
  float beta1 = u->beta1, beta2 = u->beta2, rest1 = 1 - beta1, rest2 = 1 - beta2, scale = u->gradient_scale;
  float step = u->rate / u->correction1, root = 1 / u->correction2, epsilon = u->epsilon;
  for (int64_t i = 0; i < n; i++) {
    float weight = w[i] * shrink, g = gradient[i] * scale + decay * weight;
    float mean = beta1 * m[i] + rest1 * g, square = beta2 * v[i] + rest2 * (g * g);
    m[i] = mean;
    v[i] = square;
    w[i] = weight - step * mean / (sqrtf(square) * root + epsilon);
  }
}

static void adam(const mcl_update *u, int64_t n, float *w, const float *gradient, float *m, float *v) {
  adam_loop(u, n, w, gradient, m, v, u->weight_decay, 1);
}

static void adamw(const mcl_update *u, int64_t n, float *w, const float *gradient, float *m, float *v) {
  adam_loop(u, n, w, gradient, m, v, 0, 1 - u->rate * u->weight_decay);
}

static const mcl_optimiser optimisers[] = {
    {"sgd", 1, 0.01, 0.9, sgd},
    {"adam", 2, 1e-3, 0, adam},
    {"adamw", 2, 1e-3, 0, adamw},
};
static const mcl_optimiser without_momentum = {"sgd", 0, 0.1, 0, sgd_plain};

static bool is_fraction(double value) { return value >= 0 && value < 1; }

mcl_status mcl_optimiser_choose(mcl_context *ctx, const mcl_optimiser_options *options, mcl_optimiser_options *filled,
                                const mcl_optimiser **out) {
  mcl_optimiser_options o = *options;
  const mcl_optimiser *found = NULL;
  if (!o.name) o.name = "sgd";
  for (size_t i = 0; i < sizeof optimisers / sizeof *optimisers; i++)
    if (!strcmp(optimisers[i].name, o.name)) found = &optimisers[i];
  if (!found)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "optimiser: \"%s\" is unknown; there are sgd, adam and adamw", o.name);
  if (found->slots == 1 && o.no_momentum) found = &without_momentum;
  if (o.rate == 0 && !o.no_rate) o.rate = found->rate;
  if (o.momentum == 0) o.momentum = found->momentum;
  if (o.beta1 == 0) o.beta1 = 0.9;
  if (o.beta2 == 0) o.beta2 = 0.999;
  if (o.epsilon == 0) o.epsilon = 1e-8;
  if (!(o.rate >= 0) || !isfinite(o.rate))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "optimiser: rate %g must not be negative", o.rate);
  if (!is_fraction(o.momentum) || !is_fraction(o.beta1) || !is_fraction(o.beta2))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "optimiser: momentum, beta1 and beta2 must be within 0 … 1, below 1");
  if (!(o.epsilon > 0) || !(o.weight_decay >= 0) || !isfinite(o.weight_decay))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "optimiser: epsilon must be positive, weight_decay 0 or more");
  if (o.nesterov && found->slots != 1)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "optimiser: nesterov needs sgd with momentum, not %s", o.name);
  *filled = o;
  *out = found;
  return MCL_OK;
}

mcl_update mcl_optimiser_update(const mcl_optimiser_options *o, double rate, int64_t step, double gradient_scale) {
  double t = (double)step + 1;
  return (mcl_update){.rate = (float)rate,
                      .momentum = (float)o->momentum,
                      .weight_decay = (float)o->weight_decay,
                      .gradient_scale = (float)gradient_scale,
                      .nesterov = o->nesterov,
                      .beta1 = (float)o->beta1,
                      .beta2 = (float)o->beta2,
                      .epsilon = (float)o->epsilon,
                      .correction1 = (float)(1 - pow(o->beta1, t)),
                      .correction2 = (float)sqrt(1 - pow(o->beta2, t))};
}
