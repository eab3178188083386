// "copy": the elements of one tensor into one or more others of the same shape, whatever the
// strides. "reshape": into one of another shape, in the same order.

#include <optional>

#include "error.h"
#include "kernels/copies.h"

namespace graphc {

namespace {

class Copy final : public Copies {
  public:
    explicit Copy(const Problem& problem) {
        check_operands(problem, "copy", 1, -1);
        const Spec& x = problem.reads[0];
        for (std::size_t i = 0; i < problem.writes.size(); ++i) {
            check_alike(x, problem.writes[i], "copy");
            const Walk walk = walk_of(x, x, problem.writes[i]);
            moves_.push_back({0, int(i), 0, 0, {walk, item_size(x.dtype)}});
        }
    }
};

// The axes of a tensor, joined where it runs on without a gap; both strides are the tensor's.
Walk joined(const Spec& spec) {
    Walk walk = {0, {}};
    for (int i = 0; i < spec.rank; ++i) {
        const WalkAxis axis = {spec.dims[i], spec.strides[i], spec.strides[i]};
        WalkAxis* last = walk.rank > 0 ? &walk.axes[walk.rank - 1] : nullptr;
        if (axis.size == 1) continue;
        if (last && last->from == axis.size * axis.from) {
            *last = {last->size * axis.size, axis.from, axis.to};
        } else {
            walk.axes[walk.rank++] = axis;
        }
    }
    return walk;
}

// Axes that take the elements of x in order to those of y, cut so that each axis has one stride on
// both sides; nothing where gaps lie so that no such axes exist.
std::optional<Walk> common_walk(const Spec& x, const Spec& y) {
    Walk from = joined(x), to = joined(y), walk = {0, {}};
    WalkAxis reversed[2 * kAxes];
    int count = 0;
    while (from.rank > 0 && to.rank > 0) {
        WalkAxis &a = from.axes[from.rank - 1], &b = to.axes[to.rank - 1];
        const Index size = lesser(a.size, b.size);
        if (a.size % size != 0 || b.size % size != 0) return std::nullopt;
        reversed[count++] = {size, a.from, b.to};
        a = {a.size / size, a.from * size, 0};
        b = {b.size / size, 0, b.to * size};
        if (a.size == 1) --from.rank;
        if (b.size == 1) --to.rank;
    }
    if (count > kAxes) return std::nullopt;
    while (count > 0) walk.axes[walk.rank++] = reversed[--count];
    return walk;
}

class Reshape final : public Copies {
  public:
    explicit Reshape(const Problem& problem) {
        check_operands(problem, "reshape", 1, 1);
        const Spec &x = problem.reads[0], &y = problem.writes[0];
        if (x.dtype != y.dtype || x.size() != y.size()) {
            throw Error("GC-A001", "reshape needs operands of one element type and size");
        }
        size_ = x.size();
        item_ = item_size(x.dtype);
        if (size_ == 0) return;
        if (const std::optional<Walk> walk = common_walk(x, y)) {
            moves_.push_back({0, 0, 0, 0, {*walk, item_}});
        } else {
            from_ = joined(x);
            to_ = joined(y);
        }
    }

    void run(const Run& run) const override {
        Copies::run(run);
        if (!moves_.empty()) return;
        for (Index i = 0; i < size_; ++i) {
            const char* source = run.reads[0] + place_of(from_, i).from * item_;
            char* target = run.writes[0] + place_of(to_, i).to * item_;
            for (int byte = 0; byte < item_; ++byte) target[byte] = source[byte];
        }
    }

  private:
    Walk from_ = {}, to_ = {};  // where the axes do not match: element by element
    Index size_ = 0;
    int item_ = 1;
};

GRAPHC_KERNEL("copy", Copy)
GRAPHC_KERNEL("reshape", Reshape)

}  // namespace

}  // namespace graphc
