/* Schedules of the learning rate: a factor as a function of how far training is. Rows of a table. */
#include <math.h>
#include <string.h>

#include "train/train.h"

#define HALF_TURN 3.14159265358979323846
#define ONE_CYCLE_WARMUP 0.3 /* presets of Smith and Topin 2018 as in torch.optim.lr_scheduler.OneCycleLR */
#define ONE_CYCLE_START 0.04

/* Where a step stands. */
typedef struct place {
  double step, steps, epoch; /* each from 0 */
  double warm;               /* steps of warming up */
} place;

static double half_cosine(double from, double to, double share) {
  return to + (from - to) * (1 + cos(HALF_TURN * share)) / 2;
}

/* How far from the end of warming up to the last step, 0 … 1. */
static double share_after(const place *p) {
  double length = p->steps - 1 - p->warm;
  return length > 0 ? fmin((p->step - p->warm) / length, 1) : 1;
}

static double constant_factor(const mcl_schedule_options *o, const place *p) {
  (void)o, (void)p;
  return 1;
}

static double step_factor(const mcl_schedule_options *o, const place *p) {
  return pow(o->step_factor != 0 ? o->step_factor : 0.1, floor(p->epoch / o->step_epochs + 1e-9));
}

static double cosine_factor(const mcl_schedule_options *o, const place *p) {
  return half_cosine(1, o->final_factor, share_after(p));
}

static double one_cycle_factor(const mcl_schedule_options *o, const place *p) {
  if (p->step < p->warm) return half_cosine(ONE_CYCLE_START, 1, p->step / p->warm);
  return half_cosine(1, o->final_factor, share_after(p));
}

static const struct {
  const char *name;
  bool warms_itself; /* else the rate rises in a straight line over the warm-up */
  double (*factor)(const mcl_schedule_options *options, const place *p);
} schedules[] = {
    {"constant", false, constant_factor},
    {"step", false, step_factor},
    {"cosine", false, cosine_factor},
    {"one_cycle", true, one_cycle_factor},
};

mcl_status mcl_schedule_rate(mcl_context *ctx, const mcl_schedule_options *options, double rate, int64_t step,
                             int64_t steps, int64_t steps_per_epoch, double *out) {
  const char *name = options->name ? options->name : "constant";
  size_t row = 0, rows = sizeof schedules / sizeof *schedules;
  while (row < rows && strcmp(schedules[row].name, name)) row++;
  if (row == rows)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "schedule: \"%s\" is unknown; there are constant, step, cosine and one_cycle", name);
  if (!(options->warmup >= 0 && options->warmup < 1))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "schedule: warmup %g must be a fraction of the steps, from 0 to below 1",
                    options->warmup);
  if (!(options->final_factor >= 0) || !(options->step_factor >= 0) || !(options->step_epochs >= 0))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "schedule: final_factor, step_factor and step_epochs must not be negative");
  if (!strcmp(name, "step") && options->step_epochs == 0)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "schedule: step needs step_epochs, after how many epochs the rate falls");
  double warmup = options->warmup;
  if (schedules[row].warms_itself && warmup == 0) warmup = ONE_CYCLE_WARMUP;
  place p = {(double)step, (double)steps, floor((double)step / (double)steps_per_epoch), floor(warmup * (double)steps)};
  if (schedules[row].warms_itself) p.warm = fmax(warmup * (double)steps - 1, 0); /* the step at the top */
  bool rises = !schedules[row].warms_itself && p.step < p.warm;
  *out = rate * (rises ? (p.step + 1) / (p.warm + 1) : schedules[row].factor(options, &p));
  return MCL_OK;
}
