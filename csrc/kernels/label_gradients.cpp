// Gradients of further losses over class labels (labels.h), each of which reads dloss first.
// "hinge_loss_gradient": x and labels; dx = -t * slack^(p - 1) * p * dloss / N where the slack
//     1 - t x is positive, else 0; t is 1 at the label and -1 elsewhere. `squared`: p is 2, else 1.
//     dx may be x.
// "multinomial_logistic_loss_gradient": picked and labels; dx = -dloss / N / picked at the label,
//     0 elsewhere.
// "infogain_loss_gradient": prob, labels and H; with rows h = H[label],
//     dx = (prob * sum(h) - h) * dloss / divisor, 0 where the label is ignored. dx may be prob.

#include <algorithm>

#include "kernels/labels.h"
#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/split.h"

namespace graphc {

namespace {

std::int64_t batch_of(const Problem& problem, const char* name, int batch) {
    expect_dense(problem, name, 3, 1, 1);
    const Spec& first = batch < 0 ? problem.writes[0] : problem.reads[std::size_t(batch)];
    expect(problem.reads[0].size() == 1 && first.rank > 0,
           std::string(name) + " has one dloss for a batch");
    return first.dims[0];
}

class HingeLossGradient final : public Kernel {
  public:
    explicit HingeLossGradient(const Problem& problem)
        : batch_(batch_of(problem, "hinge_loss_gradient", 1)),
          classes_(problem.reads[1].count(1, problem.reads[1].rank)),
          is_squared_(problem.attrs.integer("squared") != 0),
          labels_(problem.reads[2], batch_, classes_, problem.attrs) {
        expect(problem.writes[0].dims == problem.reads[1].dims, "hinge_loss_gradient: dx is as x");
    }

    void run(const Run& run) const override {
        const float* const labels = run.in(2);
        if (labels_.check(labels, run) < 0) return;
        const float scale = float(double(run.in(0)[0]) / double(batch_));
        split(batch_, threads_for(double(batch_ * classes_), run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  for (std::int64_t n = from; n < to; ++n) {
                      const float* const x = run.in(1) + n * classes_;
                      float* const dx = run.out(0) + n * classes_;
                      const std::int64_t label = labels_.at(labels, n);
                      for (std::int64_t k = 0; k < classes_; ++k) {
                          const float sign = k == label ? 1.0F : -1.0F;
                          const float slack = 1 - sign * x[k];
                          const float slope = is_squared_ ? 2 * slack : 1;
                          dx[k] = -sign * (slack > 0 ? slope : 0) * scale;
                      }
                  }
              });
    }

  private:
    std::int64_t batch_, classes_;
    bool is_squared_;
    Labels labels_;
};

class MultinomialLogisticLossGradient final : public Kernel {
  public:
    explicit MultinomialLogisticLossGradient(const Problem& problem)
        : batch_(batch_of(problem, "multinomial_logistic_loss_gradient", -1)),
          classes_(problem.writes[0].count(1, problem.writes[0].rank)),
          labels_(problem.reads[2], batch_, classes_, problem.attrs) {
        expect(problem.reads[1].size() == batch_, "a picked probability per sample");
    }

    void run(const Run& run) const override {
        const float* const labels = run.in(2);
        if (labels_.check(labels, run) < 0) return;
        const double scale = -double(run.in(0)[0]) / double(batch_);
        std::fill_n(run.out(0), batch_ * classes_, 0.0F);
        for (std::int64_t n = 0; n < batch_; ++n) {
            run.out(0)[n * classes_ + labels_.at(labels, n)] = float(scale / double(run.in(1)[n]));
        }
    }

  private:
    std::int64_t batch_, classes_;
    Labels labels_;
};

class InfogainLossGradient final : public Kernel {
  public:
    explicit InfogainLossGradient(const Problem& problem)
        : loops_(spans()),
          shape_(shape_of(problem)),
          labels_(problem.reads[2], shape_.outer * shape_.inner, shape_.extent, problem.attrs),
          divisor_(problem.attrs) {}

    std::size_t workspace() const override { return std::size_t(shape_.extent) * sizeof(float); }

    void run(const Run& run) const override {
        const float *const labels = run.in(2), *const gains = run.in(3);
        const std::int64_t valid = labels_.check(labels, run), extent = shape_.extent;
        if (valid < 0) return;
        float* const whole = reinterpret_cast<float*>(run.workspace);  // by label
        for (std::int64_t k = 0; k < extent; ++k) {
            whole[k] = float(loops_.sum(gains + k * extent, extent));
        }
        const float scale = float(double(run.in(0)[0]) / divisor_.of(valid));
        const std::int64_t count = shape_.outer * shape_.inner;
        split(count, threads_for(double(count * extent), run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  for (std::int64_t i = from; i < to; ++i) {
                      const std::int64_t label = labels_.at(labels, i);
                      const std::int64_t first =
                          i / shape_.inner * extent * shape_.inner + i % shape_.inner;
                      for (std::int64_t k = 0; k < extent; ++k) {
                          const std::int64_t at = first + k * shape_.inner;
                          const float rest =
                              label < 0 ? 0
                                        : run.in(1)[at] * whole[label] - gains[label * extent + k];
                          run.out(0)[at] = rest * scale;
                      }
                  }
              });
    }

  private:
    static Around shape_of(const Problem& problem) {
        expect_dense(problem, "infogain_loss_gradient", 4, 1, 1);
        const Around shape = around(problem.reads[1], problem.attrs.integer("axis"));
        expect(problem.reads[0].size() == 1 && problem.writes[0].dims == problem.reads[1].dims &&
                   problem.reads[3].size() == shape.extent * shape.extent,
               "infogain_loss_gradient has one dloss, a square H, and dx in the shape of prob");
        return shape;
    }

    const Spans& loops_;
    Around shape_;
    Labels labels_;
    Divisor divisor_;
};

GRAPHC_KERNEL("hinge_loss_gradient", HingeLossGradient)
GRAPHC_KERNEL("multinomial_logistic_loss_gradient", MultinomialLogisticLossGradient)
GRAPHC_KERNEL("infogain_loss_gradient", InfogainLossGradient)

}  // namespace

}  // namespace graphc
