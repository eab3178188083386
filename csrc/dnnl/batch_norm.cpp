// "dnnl_batch_norm": y = (x - mean / factor) / sqrt(variance / factor + eps) by channel, with 0 for
// 1 / factor where that is 0. Reads x, mean (C,), variance (C,), factor (1,); writes y, which may
// lie where x does. x and y are blocked. Parameter: eps.

#include <cstdint>

#include "dnnl/image.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

namespace {

class BatchNorm final : public Kernel {
  public:
    explicit BatchNorm(const Problem& problem)
        : x_(image(problem, problem.reads, 4, "x")),
          y_(image(problem, problem.writes, 1, "y")),
          batches_(x_, y_),
          row_((std::size_t(x_.channels) * sizeof(float) + 63) / 64 * 64),
          call_(prepare(problem)) {}

    std::size_t workspace() const override { return 2 * row_ + call_.scratchpad(); }

    void run(const Run& run) const override {
        float* const mean = reinterpret_cast<float*>(run.workspace);
        float* const variance = reinterpret_cast<float*>(run.workspace + row_);
        const double factor = run.in(3)[0], scale = factor != 0 ? 1 / factor : 0;
        for (std::int64_t c = 0; c < x_.channels; ++c) {
            mean[c] = float(run.in(1)[c] * scale);
            variance[c] = float(run.in(2)[c] * scale);
        }
        for (std::int64_t n = 0; n < batches_.runs; ++n) {
            const void* const addresses[] = {run.in(0) + n * x_.step, mean, variance,
                                             run.out(0) + n * y_.step};
            if (!call_.execute(run, run.workspace + 2 * row_, addresses)) return;
        }
    }

  private:
    // The one image among `specs`, with as many channels as there are means.
    static Image image(const Problem& problem, const std::vector<Spec>& specs, std::size_t count,
                       const char* what) {
        engine();  // throws where there is none
        require(specs.size() == count && problem.reads.size() == 4, "number of operands");
        Image found = Image::blocked(specs[0], what);
        found.channels = problem.reads[1].size();
        require(found.channels >= 1, "mean");
        found.place(specs[0], what);
        return found;
    }

    Call prepare(const Problem& problem) const {
        require(x_.samples == y_.samples && x_.height == y_.height && x_.width == y_.width, "y");
        require_flat(problem.reads[1], x_.channels, "mean");
        require_flat(problem.reads[2], x_.channels, "variance");
        require_flat(problem.reads[3], 1, "factor");
        const auto told = made(problem.threads, [&] {
            return dnnl::batch_normalization_forward::primitive_desc(
                engine(), dnnl::prop_kind::forward_inference, x_.desc(batches_.samples),
                y_.desc(batches_.samples), float(problem.attrs.real("eps")),
                dnnl::normalization_flags::use_global_stats, plain_attr());
        });
        refuse(told, {"ref"});
        return Call(told,
                    {{DNNL_ARG_SRC, told.src_desc()},
                     {DNNL_ARG_MEAN, told.mean_desc()},
                     {DNNL_ARG_VARIANCE, told.variance_desc()},
                     {DNNL_ARG_DST, told.dst_desc()}},
                    problem.threads);
    }

    Image x_, y_;
    Batches batches_;
    std::size_t row_;  // bytes of a row of statistics
    Call call_;
};

GRAPHC_KERNEL("dnnl_batch_norm", BatchNorm)

}  // namespace

}  // namespace graphc::onednn
