// "conv_depthwise": convolution of one or two spatial axes whose groups have one channel each.
// Rows of a channel are copied with their padding, columns sorted by what the stride leaves over,
// so that a vector of outputs meets each tap at consecutive elements.
//
// Operands: x, weight (O, 1, kernel...), bias if attribute bias, residual if attribute residual; y.
// Attributes: those of SpatialOptions and ActivationOptions.

#include <algorithm>
#include <vector>

#include "core/kernel.h"
#include "kernels/gemm_types.h"
#include "kernels/parallel.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kBandFloats = 8192;  // of copied rows: they stay in the L1 cache

// Strides of an operand (N..., C, H, W).
struct Layout {
    Extents images;
    std::int64_t channel = 0, row = 0;
};

class Depthwise final : public Kernel {
  public:
    explicit Depthwise(const Problem& problem)
        : act_(problem.attrs), options_(problem.attrs), loops_(chosen_loops()) {
        has_bias_ = flag(problem.attrs, "bias");
        has_residual_ = flag(problem.attrs, "residual");
        const std::size_t reads = std::size_t(2 + int(has_bias_) + int(has_residual_));
        require(problem.reads.size() == reads && problem.writes.size() == 1, "operands");
        require(options_.spatial() == 1 || options_.spatial() == 2, "number of spatial axes");
        const Spec& x = problem.reads[0];
        const Spec& y = problem.writes[0];
        require(x.rank > options_.axis && y.rank > options_.axis, "axes of x or y");
        outputs_ = y.dims[options_.axis];
        require(x.dims[options_.axis] == options_.groups && outputs_ % options_.groups == 0,
                "group");
        Extents in = options_.size, out;
        for (int i = 0; i < options_.spatial(); ++i) out.push_back(options_.windows(i));
        in.insert(in.begin(), options_.groups);
        out.insert(out.begin(), outputs_);
        x_ = layout_of(x, in, "x");
        y_ = layout_of(y, out, "y");
        require(x_.images.size() == y_.images.size(), "y");
        if (has_residual_) {
            r_ = layout_of(problem.reads.back(), out, "residual");
            require(r_.images.size() == y_.images.size(), "residual");
        }
        require_flat(problem.reads[1], product({outputs_, options_.taps()}), "weight");
        if (has_bias_) require_flat(problem.reads[2], outputs_, "bias");
        if (options_.spatial() == 1) {  // one row
            options_.size.insert(options_.size.begin(), 1);
            options_.kernel.insert(options_.kernel.begin(), 1);
            options_.stride.insert(options_.stride.begin(), 1);
            options_.pad.insert(options_.pad.begin(), 0);
            options_.dilation.insert(options_.dilation.begin(), 1);
        }
        for (std::size_t i = 0; i < 2; ++i) {  // copied rows are not much larger than x's
            const std::int64_t reach = options_.dilation[i] * (options_.kernel[i] - 1) + 1;
            require(reach <= options_.size[i] && options_.pad[i] < reach, "kernel beyond x");
        }
        height_ = options_.windows(0);
        width_ = options_.windows(1);
        plan();
        const double sums = double(y.size()) * double(options_.taps());
        threads_ = threads_for(0.2 * sums, problem.threads);
    }

    std::size_t workspace() const override { return own_bytes() * std::size_t(threads_); }

    void run(const Run& run) const override {
        const std::int64_t tasks = std::int64_t(x_.images.size()) * options_.groups * bands_;
        if (height_ * width_ == 0) return;
        share_out(tasks, std::min(run.threads, threads_), [&](std::int64_t task, int thread) {
            float* rows =
                reinterpret_cast<float*>(run.workspace + own_bytes() * std::size_t(thread));
            const std::int64_t band = task % bands_, group = task / bands_ % options_.groups;
            run_band(run, std::size_t(task / bands_ / options_.groups), group,
                     height_ * band / bands_, height_ * (band + 1) / bands_, rows);
        });
    }

  private:
    Layout layout_of(const Spec& spec, const Extents& dims, const char* what) const {
        require_image(spec, options_.axis, dims, what);
        const int last = spec.rank - 1;
        require(spec.dims[last] <= 1 || spec.strides[last] == 1 || spec.size() == 0, what);
        return {image_offsets(spec, options_.axis), spec.strides[options_.axis],
                spec.strides[last - 1]};
    }

    void plan() {
        const std::int64_t step = options_.stride[1], pad = options_.pad[1];
        const std::int64_t reach = options_.dilation[1] * (options_.kernel[1] - 1);
        const std::int64_t lanes = loops_.width;
        phase_ = width_ + reach / step;
        if (step > 1) phase_ = (phase_ + lanes - 1) / lanes * lanes;
        pitch_ = phase_ * step;
        for (std::int64_t i = 0; i < options_.kernel[0]; ++i) {
            for (std::int64_t j = 0; j < options_.kernel[1]; ++j) {
                const std::int64_t at = j * options_.dilation[1];
                offsets_.push_back(i * options_.dilation[0] * pitch_ + at % step * phase_ +
                                   at / step);
            }
        }
        for (std::int64_t p = 0; p < step; ++p) {
            for (std::int64_t u = 0; u < phase_; u += lanes) {
                // Lane l is element (u + l) * step + p - pad, where there is one.
                const std::int64_t first = u * step + p - pad;
                const auto lane = [&](std::int64_t element) {
                    return int(std::clamp<std::int64_t>(
                        element > first ? (element - first + step - 1) / step : 0, 0, lanes));
                };
                const int low = lane(0), high = lane(options_.size[1]);
                pieces_.push_back(low < high ? make_piece(first, low, high) : Piece{});
            }
        }
        bands_ = 1;
        while (bands_ < height_ && rows_of(bands_) * pitch_ > kBandFloats) ++bands_;
    }

    // Copied rows of the largest band when there are `bands` of them.
    std::int64_t rows_of(std::int64_t bands) const { return copied((height_ + bands - 1) / bands); }

    std::int64_t copied(std::int64_t rows) const {
        return (rows - 1) * options_.stride[0] + options_.dilation[0] * (options_.kernel[0] - 1) +
               1;
    }

    std::size_t own_bytes() const {
        const std::int64_t floats = rows_of(bands_) * pitch_ + kMaxWidth;
        return (std::size_t(floats) * sizeof(float) + 63) / 64 * 64;
    }

    // Copies rows top .. top + count - 1 of a channel.
    void copy_rows(const float* x, std::int64_t top, std::int64_t count, float* rows) const {
        const std::int64_t low = std::clamp<std::int64_t>(-top, 0, count);
        const std::int64_t high = std::clamp<std::int64_t>(options_.size[0] - top, low, count);
        std::fill(rows, rows + low * pitch_, 0.0f);
        LayJob job{};
        job.pieces = pieces_.data();
        job.pieces_per_tap = job.table_taps = 1;
        job.taps = 1;
        job.channel_step = x_.row;
        job.step = options_.stride[1];
        job.k0 = 0;
        job.k1 = high - low;
        loops_.lay(job, x + (top + low) * x_.row, int(pieces_.size()), rows + low * pitch_, pitch_);
        std::fill(rows + high * pitch_, rows + count * pitch_ + kMaxWidth, 0.0f);
    }

    void run_band(const Run& run, std::size_t image, std::int64_t group, std::int64_t first,
                  std::int64_t stop, float* rows) const {
        const float* x = run.in(0) + x_.images[image] + group * x_.channel;
        copy_rows(x, first * options_.stride[0] - options_.pad[0], copied(stop - first), rows);
        SlideJob job{};
        job.source = rows;
        job.offsets = offsets_.data();
        job.taps = options_.taps();
        job.rows = stop - first;
        job.columns = width_;
        job.row = options_.stride[0] * pitch_;
        TileStore store{};
        store.activation = act_.activation;
        store.slope = act_.slope;
        store.row = y_.row;
        store.add_row = r_.row;
        const std::int64_t each = outputs_ / options_.groups;
        for (std::int64_t o = group * each; o < (group + 1) * each; ++o) {
            job.weights = run.in(1) + o * job.taps;
            store.c = run.out(0) + y_.images[image] + o * y_.channel + first * y_.row;
            if (has_bias_) store.row_bias = run.in(2) + o;
            if (has_residual_) {
                store.add =
                    run.in(2 + int(has_bias_)) + r_.images[image] + o * r_.channel + first * r_.row;
            }
            loops_.slide(job, store);
        }
    }

    ActivationOptions act_;
    SpatialOptions options_;
    const GemmLoops& loops_;
    bool has_bias_ = false, has_residual_ = false;
    Layout x_, y_, r_;
    std::int64_t outputs_ = 0, height_ = 0, width_ = 0;
    std::int64_t phase_ = 0, pitch_ = 0;  // floats of a phase, and of a copied row
    std::int64_t bands_ = 1;
    Extents offsets_;
    std::vector<Piece> pieces_;
    int threads_ = 1;
};

GRAPHC_KERNEL("conv_depthwise", Depthwise)

}  // namespace

}  // namespace graphc
