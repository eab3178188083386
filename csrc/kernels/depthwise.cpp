// "conv_depthwise": convolution of one or two spatial axes whose groups have one channel each. A
// vector is neighbouring outputs of a row; what lies beyond the edges of x is masked out.
//
// Operands: x, weight (O, 1, kernel...), bias if attribute bias, residual if attribute residual; y.
// Attributes: those of SpatialOptions and ActivationOptions.

#include <algorithm>
#include <vector>

#include "core/kernel.h"
#include "kernels/gemm_types.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kShares = 4;  // tasks for each thread at least, so that all end together

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
        height_ = options_.windows(0);
        width_ = options_.windows(1);
        taps_ = options_.taps();
        make_pieces();
        const double sums = double(y.size()) * double(options_.taps());
        threads_ = threads_for(0.05 * sums, problem.threads);
        const std::int64_t channels =
            std::max<std::int64_t>(std::int64_t(x_.images.size()) * options_.groups, 1);
        bands_ = std::clamp<std::int64_t>((kShares * threads_ + channels - 1) / channels, 1,
                                          std::max<std::int64_t>(height_, 1));
        if (threads_ == 1) bands_ = 1;
    }

    void run(const Run& run) const override {
        if (height_ * width_ == 0) return;
        const std::int64_t tasks = std::int64_t(x_.images.size()) * options_.groups * bands_;
        split(tasks, std::min(run.threads, threads_), [&](std::int64_t task, std::int64_t stop) {
            std::int64_t band = task % bands_, group = task / bands_ % options_.groups;
            std::int64_t image = task / bands_ / options_.groups;
            for (; task < stop; ++task) {
                run_band(run, std::size_t(image), group, height_ * band / bands_,
                         height_ * (band + 1) / bands_);
                if (++band < bands_) continue;
                band = 0;
                if (++group < options_.groups) continue;
                group = 0;
                ++image;
            }
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

    void make_pieces() {
        const std::int64_t step = options_.stride[1], lanes = loops_.width;
        for (std::int64_t q = 0; q < width_; q += lanes) {
            for (std::int64_t j = 0; j < options_.kernel[1]; ++j) {
                // Lane l is element first + l * step, where there is one.
                const std::int64_t first = q * step - options_.pad[1] + j * options_.dilation[1];
                const std::int64_t most = std::min(lanes, width_ - q);
                const auto lanes_below = [&](std::int64_t element) {
                    return std::clamp<std::int64_t>(
                        element > first ? (element - first + step - 1) / step : 0, 0, most);
                };
                const int low = int(lanes_below(0)), high = int(lanes_below(options_.size[1]));
                pieces_.push_back(low < high ? make_piece(first, low, high) : Piece{});
            }
        }
    }

    void run_band(const Run& run, std::size_t image, std::int64_t group, std::int64_t first,
                  std::int64_t stop) const {
        SlideJob job{};
        job.x = run.in(0) + x_.images[image] + group * x_.channel;
        job.x_row = x_.row;
        job.height = options_.size[0];
        job.top = first * options_.stride[0] - options_.pad[0];
        job.stride = options_.stride[0];
        job.dilation = options_.dilation[0];
        job.pieces = pieces_.data();
        job.step = options_.stride[1];
        job.high = options_.kernel[0];
        job.wide = options_.kernel[1];
        job.rows = stop - first;
        job.columns = width_;
        TileStore store{};
        store.activation = act_.activation;
        store.slope = act_.slope;
        store.row = y_.row;
        store.add_row = r_.row;
        const std::int64_t each = outputs_ / options_.groups;
        for (std::int64_t o = group * each; o < (group + 1) * each; ++o) {
            job.weights = run.in(1) + o * taps_;
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
    std::int64_t outputs_ = 0, height_ = 0, width_ = 0, taps_ = 0;
    std::int64_t bands_ = 1;     // into which the rows of a channel are cut
    std::vector<Piece> pieces_;  // [vector of columns][tap column]
    int threads_ = 1;
};

GRAPHC_KERNEL("conv_depthwise", Depthwise)

}  // namespace

}  // namespace graphc
