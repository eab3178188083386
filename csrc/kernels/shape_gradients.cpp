// Gradients of layers that put pieces of tensors elsewhere: where a piece came from several times,
// or not at all. "crop_gradient": dx is dy at `offset` (one number per axis) and 0 around it.
// "tile_gradient": dx is the sum of the pieces of dy that lie side by side along `axis`.
// "gather_gradient": reads dy (M, ...) and index (M,); dx[n] is the sum of dy[m] with index[m] = n,
// in the order of m.

#include <algorithm>

#include "gather.h"
#include "kernels/copies.h"
#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr float kZero = 0;

class CropGradient final : public Kernel {
  public:
    explicit CropGradient(const Problem& problem) : fill_(Walk{0, {}}, 4), copy_(Walk{0, {}}, 4) {
        check_operands(problem, "crop_gradient", 1, 1);
        const Spec &dy = problem.reads[0], &dx = problem.writes[0];
        const auto& offset = problem.attrs.integers("offset");
        bool fits = dx.dtype == DType::f32 && dy.dtype == DType::f32 && dx.rank == dy.rank &&
                    offset.size() == std::size_t(dx.rank);
        for (int i = 0; fits && i < dx.rank; ++i) {
            fits = offset[i] >= 0 && offset[i] <= dx.dims[i] - dy.dims[i];
            start_ += offset[i] * dx.strides[i];
        }
        expect(fits, "crop_gradient: dy does not lie in dx");
        Spec zero = dx;
        zero.strides = {};
        fill_ = StridedCopy(walk_of(dx, zero, dx), 4);
        copy_ = StridedCopy(walk_of(dy, dy, dx), 4);
    }

    void run(const Run& run) const override {
        fill_.run(reinterpret_cast<const char*>(&kZero), run.writes[0], run.threads);
        copy_.run(run.reads[0], run.writes[0] + start_ * 4, run.threads);
    }

  private:
    StridedCopy fill_, copy_;
    Index start_ = 0;
};

class TileGradient final : public Kernel {
  public:
    explicit TileGradient(const Problem& problem) : loops_(spans()) {
        expect_dense(problem, "tile_gradient", 1, 1, 1);
        const Around dy = around(problem.reads[0], problem.attrs.integer("axis"));
        const Around dx = around(problem.writes[0], problem.attrs.integer("axis"));
        tiles_ = dx.extent > 0 ? dy.extent / dx.extent : 0;
        expect(dy.outer == dx.outer && dy.inner == dx.inner && tiles_ * dx.extent == dy.extent,
               "tile_gradient: dx does not fit into dy");
        outer_ = dx.outer;
        piece_ = dx.extent * dx.inner;
    }

    void run(const Run& run) const override {
        const double work = 0.1 * double(outer_ * tiles_ * piece_);
        split(outer_, threads_for(work, run.threads), [&](Index from, Index to) {
            for (Index n = from; n < to; ++n) {
                const float* const dy = run.in(0) + n * tiles_ * piece_;
                float* const dx = run.out(0) + n * piece_;
                std::fill_n(dx, piece_, 0.0F);
                for (Index t = 0; t < tiles_; ++t) {
                    loops_.binary_of(Opcode::add)(dx, dx, dy + t * piece_, piece_);
                }
            }
        });
    }

  private:
    const Spans& loops_;
    Index outer_ = 0, tiles_ = 0, piece_ = 0;
};

class GatherGradient final : public Kernel {
  public:
    explicit GatherGradient(const Problem& problem) : loops_(spans()) {
        expect_dense(problem, "gather_gradient", 2, 1, 1);
        const Spec &dy = problem.reads[0], &index = problem.reads[1], &dx = problem.writes[0];
        expect(dx.rank > 0, "gather_gradient gives rows");
        check_alike(dy, dx, "gather_gradient", 0);
        expect(index.rank == 1 && index.dims[0] == dy.dims[0],
               "gather_gradient takes one number for each row of dy");
        samples_ = dx.dims[0];
        count_ = dy.dims[0];
        row_ = dx.count(1, dx.rank);
    }

    // Threads share out columns, so that none meets another's sums.
    void run(const Run& run) const override {
        const Index pieces = (row_ + kPiece - 1) / kPiece;
        const double work = 0.1 * double((count_ + samples_) * row_);
        split(pieces, threads_for(work, run.threads), [&](Index from, Index to) {
            const Index first = from * kPiece, size = lesser(to * kPiece, row_) - first;
            for (Index n = 0; n < samples_; ++n) {
                std::fill_n(run.out(0) + n * row_ + first, size, 0.0F);
            }
            for (Index m = 0; m < count_; ++m) {
                const Index n = sample_of(run.in(1)[m], samples_);
                if (n < 0) continue;  // the forward has refused it
                float* const dx = run.out(0) + n * row_ + first;
                loops_.binary_of(Opcode::add)(dx, dx, run.in(0) + m * row_ + first, size);
            }
        });
    }

  private:
    static constexpr Index kPiece = 64;

    const Spans& loops_;
    Index samples_ = 0, count_ = 0, row_ = 0;
};

GRAPHC_KERNEL("crop_gradient", CropGradient)
GRAPHC_KERNEL("tile_gradient", TileGradient)
GRAPHC_KERNEL("gather_gradient", GatherGradient)

}  // namespace

}  // namespace graphc
