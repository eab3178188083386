// "block": reads x (N, C, H, W), writes y (N, ceil(C / B), H, W, B), see blocked.h. "unblock": the
// way back. Parameter: channels, C.

#include <cstdint>

#include "kernels/blocked.h"
#include "kernels/planes.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr Index kPiece = 256;  // pixels that one thread takes at a time; a multiple of any vector
constexpr double kNsPerByte = 0.1;

// Both operands of either kernel, cut into runs of pixels that lie side by side in both.
class Blocking : public Kernel {
  public:
    Blocking(const Problem& problem, const std::string& name, bool is_plain_read) {
        if (problem.reads.size() != 1 || problem.writes.size() != 1) {
            throw Error("GC-A001", name + " reads one operand and writes one");
        }
        const Spec &read = problem.reads[0], &write = problem.writes[0];
        const Spec& plain = is_plain_read ? read : write;
        plain_ = Planes(plain, name);
        blocked_ = Blocked(is_plain_read ? write : read, problem.attrs.integer("channels"), name);
        if (plain.dtype != DType::f32 || plain_.samples != blocked_.samples ||
            plain_.channels != blocked_.channels || plain_.height != blocked_.height ||
            plain_.width != blocked_.width) {
            throw Error("GC-A001", name + ": x and y differ in shape");
        }
        const bool is_flat = plain_.height <= 1 || plain_.pitch == plain_.width;
        rows_ = is_flat ? 1 : plain_.height;
        row_ = is_flat ? blocked_.pixels() : plain_.width;
        pieces_ = (row_ + kPiece - 1) / kPiece;
        work_ = kNsPerByte * 4 * double(blocked_.size());
    }

  protected:
    // Calls move(i, plain, blocked, count) for runs of `count` pixels of the i-th block; the other
    // two are offsets of their first.
    template <class Move>
    void each_run(int threads, const Move& move) const {
        const Index units = blocked_.size() == 0 ? 0 : blocked_.count() * rows_ * pieces_;
        split(units, threads_for(work_, threads), [&](Index begin, Index end) {
            for (Index unit = begin; unit < end; ++unit) {
                const Index first = unit % pieces_ * kPiece, line = unit / pieces_;
                const Index i = line / rows_, h = line % rows_;
                const Index plain = i / blocked_.blocks * plain_.sample_step +
                                    i % blocked_.blocks * blocked_.lanes * plain_.channel_step +
                                    h * plain_.pitch + first;
                move(i, plain, blocked_.offset(i) + (h * row_ + first) * blocked_.lanes,
                     lesser(kPiece, row_ - first));
            }
        });
    }

    Planes plain_;
    Blocked blocked_;

  private:
    Index rows_ = 1, row_ = 0;  // runs of a plane, and how many pixels each has
    Index pieces_ = 0;          // into which a run is cut
    double work_ = 0;           // nanoseconds
};

class Block final : public Blocking {
  public:
    explicit Block(const Problem& problem)
        : Blocking(problem, "block", true), loops_(blocked_loops(blocked_.lanes)) {}

    void run(const Run& run) const override {
        each_run(run.threads, [&](Index i, Index plain, Index blocked, Index count) {
            loops_.block(run.in(0) + plain, plain_.channel_step, blocked_.used(i), blocked_.lanes,
                         count, run.out(0) + blocked);
        });
    }

  private:
    const SpatialLoops& loops_;
};

class Unblock final : public Blocking {
  public:
    explicit Unblock(const Problem& problem)
        : Blocking(problem, "unblock", false), loops_(blocked_loops(blocked_.lanes)) {}

    void run(const Run& run) const override {
        each_run(run.threads, [&](Index i, Index plain, Index blocked, Index count) {
            loops_.unblock(run.in(0) + blocked, blocked_.lanes, blocked_.used(i), count,
                           run.out(0) + plain, plain_.channel_step);
        });
    }

  private:
    const SpatialLoops& loops_;
};

GRAPHC_KERNEL("block", Block)
GRAPHC_KERNEL("unblock", Unblock)

}  // namespace

}  // namespace graphc
