// "concat", "slice", "crop", "tile": pieces of tensors put elsewhere, along some of their axes.

#include <string>

#include "error.h"
#include "kernels/copies.h"

namespace graphc {

namespace {

int axis_of(const Problem& problem, const Spec& spec, const std::string& name) {
    const Index axis = problem.attrs.integer("axis");
    if (axis < 0 || axis >= spec.rank) {
        throw Error("GC-A001", name + ": axis " + std::to_string(axis) + " of a tensor of " +
                                   std::to_string(spec.rank) + " axes");
    }
    return int(axis);
}

// Parameter `axis`: the reads follow each other along it.
class Concat final : public Copies {
  public:
    explicit Concat(const Problem& problem) {
        check_operands(problem, "concat", -1, 1);
        const Spec& y = problem.writes[0];
        const int axis = axis_of(problem, y, "concat");
        const int item = item_size(y.dtype);
        Index at = 0;
        for (std::size_t k = 0; k < problem.reads.size(); ++k) {
            const Spec& x = problem.reads[k];
            check_alike(x, y, "concat", axis);
            const Index to = at * y.strides[axis] * item;
            moves_.push_back({int(k), 0, 0, to, {walk_of(x, x, y), item}});
            at += x.dims[axis];
        }
        if (at != y.dims[axis]) throw Error("GC-A001", "concat: the reads do not fill the write");
    }
};

// Parameter `axis`: the writes follow each other along it.
class Slice final : public Copies {
  public:
    explicit Slice(const Problem& problem) {
        check_operands(problem, "slice", 1, -1);
        const Spec& x = problem.reads[0];
        const int axis = axis_of(problem, x, "slice");
        const int item = item_size(x.dtype);
        Index at = 0;
        for (std::size_t k = 0; k < problem.writes.size(); ++k) {
            const Spec& y = problem.writes[k];
            check_alike(y, x, "slice", axis);
            const Index from = at * x.strides[axis] * item;
            moves_.push_back({0, int(k), from, 0, {walk_of(y, x, y), item}});
            at += y.dims[axis];
        }
        if (at != x.dims[axis]) throw Error("GC-A001", "slice: the writes do not use up the read");
    }
};

// Parameter `offset`, one per axis: where in x the element 0 of y lies.
class Crop final : public Copies {
  public:
    explicit Crop(const Problem& problem) {
        check_operands(problem, "crop", 1, 1);
        const Spec &x = problem.reads[0], &y = problem.writes[0];
        const auto& offset = problem.attrs.integers("offset");
        const int item = item_size(x.dtype);
        bool fits = x.dtype == y.dtype && x.rank == y.rank && offset.size() == std::size_t(x.rank);
        Index from = 0;
        for (int i = 0; fits && i < x.rank; ++i) {
            fits = offset[i] >= 0 && offset[i] <= x.dims[i] - y.dims[i];
            from += offset[i] * x.strides[i];
        }
        if (!fits) throw Error("GC-A001", "crop: what is cut out does not lie in the read");
        moves_.push_back({0, 0, from * item, 0, {walk_of(y, x, y), item}});
    }
};

// Parameter `axis`: y holds copies of x side by side along it.
class Tile final : public Copies {
  public:
    explicit Tile(const Problem& problem) {
        check_operands(problem, "tile", 1, 1);
        const Spec &x = problem.reads[0], &y = problem.writes[0];
        const int axis = axis_of(problem, x, "tile");
        check_alike(x, y, "tile", axis);
        const Index extent = x.dims[axis];
        const Index tiles = extent > 0 ? y.dims[axis] / extent : 0;
        if (y.dims[axis] != tiles * extent) {
            throw Error("GC-A001", "tile: " + std::to_string(y.dims[axis]) + " elements are no " +
                                       "multiple of " + std::to_string(extent));
        }
        const int item = item_size(x.dtype);
        const Index step = extent * y.strides[axis] * item;
        Walk walk = walk_of(x, x, y);
        if (walk.rank == kAxes) {  // no axis left for the copies: one move for each
            for (Index t = 0; t < tiles; ++t) moves_.push_back({0, 0, 0, t * step, {walk, item}});
            return;
        }
        walk.axes[walk.rank++] = {tiles, 0, extent * y.strides[axis]};
        moves_.push_back({0, 0, 0, 0, {walk, item}});
    }
};

GRAPHC_KERNEL("concat", Concat)
GRAPHC_KERNEL("slice", Slice)
GRAPHC_KERNEL("crop", Crop)
GRAPHC_KERNEL("tile", Tile)

}  // namespace

}  // namespace graphc
