// "clip_factor": factor = longest / norm if norm > longest, else 1, with norm^2 the sum of the
// squares of all reads. Attribute longest.

#include <cmath>
#include <vector>

#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

class ClipFactor final : public Kernel {
  public:
    explicit ClipFactor(const Problem& problem)
        : loops_(spans()), longest_(problem.attrs.real("longest")) {
        expect_dense(problem, "clip_factor", problem.reads.size(), 1, 1);
        expect(problem.writes[0].size() == 1, "clip_factor gives one number");
        for (std::size_t i = 0; i < problem.reads.size(); ++i) {
            const std::int64_t size = problem.reads[i].size();
            for (std::int64_t at = 0; at < size; at += kPiece) {
                pieces_.push_back({int(i), at, std::min(kPiece, size - at)});
            }
            size_ += size;
        }
    }

    std::size_t workspace() const override { return pieces_.size() * sizeof(double); }

    void run(const Run& run) const override {
        const int threads = threads_for(0.1 * double(size_), run.threads);
        const double squares =
            ordered_sum(std::int64_t(pieces_.size()), reinterpret_cast<double*>(run.workspace),
                        threads, [&](std::int64_t i) {
                            const Piece& piece = pieces_[std::size_t(i)];
                            return loops_.sum_squares(run.in(piece.read) + piece.at, piece.count);
                        });
        const double norm = std::sqrt(squares);
        run.out(0)[0] = norm > longest_ ? float(longest_ / norm) : 1.0f;
    }

  private:
    struct Piece {
        int read;
        std::int64_t at, count;
    };

    const Spans& loops_;
    double longest_;
    std::vector<Piece> pieces_;
    std::int64_t size_ = 0;
};

GRAPHC_KERNEL("clip_factor", ClipFactor)

}  // namespace

}  // namespace graphc
