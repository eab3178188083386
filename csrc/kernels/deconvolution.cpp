// "deconv": the transpose of a convolution, its weight packed by "deconv_pack".
//
// Outputs that leave the same remainders by the strides meet the same kernel elements, and those
// are as a convolution with stride 1 of x: one matrix product for each set of remainders that meets
// any. The other outputs are bias alone.

#include <algorithm>
#include <map>
#include <memory>

#include "kernels/banded_gemm.h"
#include "kernels/parallel.h"
#include "kernels/spatial_problem.h"

namespace graphc {

namespace {

// Outputs first, first + stride, ... along one axis, and the kernel elements they meet.
struct Remainder {
    WindowAxis axis;
    Extents taps;
};

std::vector<Remainder> remainders_of(const SpatialOptions& options, int i) {
    const std::size_t at = std::size_t(i);
    const std::int64_t stride = options.stride[at], size = options.spread(i);
    std::map<std::int64_t, Extents> taps;  // by the first output they meet
    // The last kernel element meets the first element of x.
    for (std::int64_t k = options.kernel[at]; k-- > 0;) {
        const std::int64_t first = (k * options.dilation[at] - options.pad[at]) % stride;
        taps[first < 0 ? first + stride : first].push_back(k);
    }
    std::vector<Remainder> found;
    for (const auto& [first, met] : taps) {
        if (first >= size) continue;
        Remainder each;
        each.axis.in = options.size[at];
        each.axis.windows = (size - first + stride - 1) / stride;
        each.axis.first = first;
        each.axis.stride = stride;
        each.axis.shifts.clear();
        for (const std::int64_t k : met) {
            const std::int64_t shift = first + options.pad[at] - k * options.dilation[at];
            each.axis.shifts.push_back(shift / stride);
        }
        each.taps = met;
        found.push_back(std::move(each));
    }
    return found;
}

// One remainder for each axis.
struct Phase {
    std::vector<WindowAxis> axes;
    Extents taps = {0};  // row-major numbers of kernel elements
};

std::vector<Phase> phases_of(const SpatialOptions& options) {
    std::vector<Phase> phases(1);
    for (int i = 0; i < options.spatial(); ++i) {
        std::vector<Phase> longer;
        for (const Remainder& remainder : remainders_of(options, i)) {
            for (const Phase& phase : phases) {
                Phase next = phase;
                next.axes.push_back(remainder.axis);
                next.taps.clear();
                for (const std::int64_t before : phase.taps) {
                    for (const std::int64_t tap : remainder.taps) {
                        next.taps.push_back(before * options.kernel[std::size_t(i)] + tap);
                    }
                }
                longer.push_back(std::move(next));
            }
        }
        phases = std::move(longer);
    }
    return phases;
}

Extents spreads(const SpatialOptions& options) {
    Extents out;
    for (int i = 0; i < options.spatial(); ++i) out.push_back(options.spread(i));
    return out;
}

class Deconvolution final : public Kernel {
  public:
    explicit Deconvolution(const Problem& told) : act_(told.attrs) {
        const SpatialProblem problem(told);
        has_bias_ = problem.has_bias;
        has_residual_ = problem.has_residual;
        pairs_ = problem.pairs;
        const Extents out = spreads(problem.options);
        std::int64_t covered = 0, packed = 0;
        for (const Phase& phase : phases_of(problem.options)) {
            std::int64_t windows = 1;
            for (const WindowAxis& axis : phase.axes) windows *= axis.windows;
            covered += windows;
            starts_.push_back(packed);
            std::int64_t size = 0;
            for (int i = 0; i < pairs_; ++i) {
                ImplicitGemmShape shape = problem.shape(i, out);
                shape.axes = phase.axes;
                problem.set_pitches(i, shape.axes);
                const std::int64_t depth = shape.channels * std::int64_t(phase.taps.size());
                size = ImplicitGemm::packed_size(shape.groups, shape.outputs, depth);
                products_.push_back(spatial_gemm(std::move(shape)));
                workspace_ = std::max(workspace_, products_.back()->workspace());
            }
            packed += size;
        }
        if (covered < product(out)) plan_bare(problem);
    }

    std::size_t workspace() const override { return workspace_; }

    void run(const Run& run) const override {
        for (int i = 0; i < pairs_; ++i) {
            ImplicitGemmRun job = run_of(run, i, pairs_, has_bias_, has_residual_, act_);
            const float* packed = job.packed;
            for (std::size_t phase = 0; phase < starts_.size(); ++phase) {
                job.packed = packed + starts_[phase];
                products_[phase * std::size_t(pairs_) + std::size_t(i)]->run(job);
            }
            if (!bare_.empty()) fill_bare(job, bare_[std::size_t(i)]);
        }
    }

  private:
    // Where the elements lie that meet no kernel element.
    struct Bare {
        Extents y_images, r_images, y_places, r_places;
        std::int64_t outputs, y_channel, r_channel;
    };

    void plan_bare(const SpatialProblem& problem) {
        const SpatialOptions& options = problem.options;
        const Extents out = spreads(options);
        std::vector<std::vector<bool>> met;
        for (int i = 0; i < options.spatial(); ++i) {
            std::vector<bool> marks(std::size_t(out[std::size_t(i)]), false);
            for (const Remainder& remainder : remainders_of(options, i)) {
                const std::int64_t step = remainder.axis.stride;
                for (std::int64_t p = remainder.axis.first; p < out[std::size_t(i)]; p += step) {
                    marks[std::size_t(p)] = true;
                }
            }
            met.push_back(std::move(marks));
        }
        for (int pair = 0; pair < pairs_; ++pair) {
            const ImplicitGemmShape shape = problem.shape(pair, out);
            std::vector<WindowAxis> axes(out.size());
            problem.set_pitches(pair, axes);
            Bare bare{shape.y_images,  shape.r_images, {}, {}, problem.outputs(),
                      shape.y_channel, shape.r_channel};
            for (std::int64_t element = 0; element < product(out); ++element) {
                std::int64_t rest = element, y = 0, r = 0;
                bool is_met = true;
                for (std::size_t i = out.size(); i-- > 0;) {
                    const std::int64_t p = rest % out[i];
                    rest /= out[i];
                    is_met = is_met && met[i][std::size_t(p)];
                    y += p * axes[i].y_pitch;
                    r += p * axes[i].r_pitch;
                }
                if (is_met) continue;
                bare.y_places.push_back(y);
                bare.r_places.push_back(r);
            }
            bare_.push_back(std::move(bare));
        }
    }

    void fill_bare(const ImplicitGemmRun& run, const Bare& bare) const {
        const std::int64_t planes = std::int64_t(bare.y_images.size()) * bare.outputs;
        share_out(planes, run.threads, [&](std::int64_t plane, int) {
            const std::size_t image = std::size_t(plane / bare.outputs);
            const std::int64_t o = plane % bare.outputs;
            float* y = run.y + bare.y_images[image] + o * bare.y_channel;
            const float* r =
                run.residual ? run.residual + bare.r_images[image] + o * bare.r_channel : nullptr;
            for (std::size_t i = 0; i < bare.y_places.size(); ++i) {
                float value = r ? r[bare.r_places[i]] : 0.0f;
                if (run.bias) value += run.bias[o];
                y[bare.y_places[i]] = activate(value, run.activation, run.slope);
            }
        });
    }

    ActivationOptions act_;
    int pairs_ = 1;
    bool has_bias_ = false, has_residual_ = false;
    std::vector<std::unique_ptr<SpatialGemm>> products_;  // [phase][pair]
    Extents starts_;                                      // of each phase's packed weights
    std::vector<Bare> bare_;
    std::size_t workspace_ = 0;
};

// weight (C, O / group, kernel...) -> packed, phase by phase.
class DeconvolutionPack final : public Kernel {
  public:
    explicit DeconvolutionPack(const Problem& problem) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        const SpatialOptions options(problem.attrs);
        const Spec& weight = problem.reads[0];
        const std::int64_t taps = options.taps();
        require(weight.rank >= 2 && weight.dims[0] % options.groups == 0, "weight");
        require_flat(weight, product({weight.dims[0], weight.dims[1], taps}), "weight");
        // Remainders no output leaves, which a small y may have, take up room as well.
        require_flat(
            problem.writes[0],
            packed_floats(options.groups, weight.dims[1], weight.dims[0] / options.groups, taps),
            "packed weight");
        std::int64_t packed = 0;
        for (const Phase& phase : phases_of(options)) {
            ImplicitGemmShape shape;
            shape.groups = options.groups;
            shape.channels = weight.dims[0] / options.groups;
            shape.outputs = weight.dims[1];
            shape.axes = phase.axes;
            places_.push_back(
                {shape.channels * shape.outputs * taps, taps, shape.outputs * taps, phase.taps});
            starts_.push_back(packed);
            products_.push_back(std::make_unique<ImplicitGemm>(std::move(shape)));
            packed += products_.back()->packed_size();
        }
    }

    void run(const Run& run) const override {
        for (std::size_t i = 0; i < products_.size(); ++i) {
            products_[i]->pack(run.in(0), places_[i], run.out(0) + starts_[i], run.threads);
        }
    }

  private:
    std::vector<std::unique_ptr<ImplicitGemm>> products_;
    std::vector<WeightPlaces> places_;
    Extents starts_;
};

GRAPHC_KERNEL("deconv", Deconvolution)
GRAPHC_KERNEL("deconv_pack", DeconvolutionPack)

}  // namespace

}  // namespace graphc
