#include "kernels/strided_copy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/split.h"

namespace graphc {

namespace {

constexpr double kNsPerByte = 0.1;
constexpr Index kPiece = 1 << 16;  // bytes of a run that one thread takes at a time
constexpr Index kTile = 16;        // elements along each side of a transposition's tile

// The places of a walk in order, starting anywhere.
class Cursor {
  public:
    Cursor(const Walk& walk, Index start) : walk_(walk), place_(place_of(walk, start)) {
        for (int k = walk.rank - 1; k >= 0; --k) {
            at_[k] = start % walk.axes[k].size;
            start /= walk.axes[k].size;
        }
    }

    const WalkPlace& place() const { return place_; }

    void next() {
        for (int k = walk_.rank - 1; k >= 0; --k) {
            const WalkAxis& axis = walk_.axes[k];
            place_.from += axis.from;
            place_.to += axis.to;
            if (++at_[k] < axis.size) return;
            at_[k] = 0;
            place_.from -= axis.size * axis.from;
            place_.to -= axis.size * axis.to;
        }
    }

  private:
    const Walk& walk_;
    WalkPlace place_;
    Index at_[kAxes] = {};
};

Index blocks(Index size, Index block) { return (size + block - 1) / block; }

// to[a * step_to + b] = from[b * step_from + a]
template <class Item>
void transpose_tile(const Item* from, Item* to, Index step_from, Index step_to, Index rows,
                    Index cols) {
    if (rows == kTile && cols == kTile) {
        for (Index a = 0; a < kTile; ++a) {
            for (Index b = 0; b < kTile; ++b) to[a * step_to + b] = from[b * step_from + a];
        }
        return;
    }
    for (Index a = 0; a < rows; ++a) {
        for (Index b = 0; b < cols; ++b) to[a * step_to + b] = from[b * step_from + a];
    }
}

}  // namespace

StridedCopy::StridedCopy(const Walk& walk, int item) : item_(item) {
    Index total = 1;
    for (int i = 0; i < walk.rank; ++i) total *= walk.axes[i].size;
    if (total == 0) return;
    arrange(walk);
    choose();
    pieces_ = blocks(inner_.size, piece_);
    units_ = pieces_;
    for (int k = 0; k < outer_.rank; ++k) units_ *= outer_.axes[k].size;
    work_ = kNsPerByte * double(total) * double(item);
}

// Outermost first in the second tensor, whose gaps cost more; joined where both sides run on.
void StridedCopy::arrange(const Walk& walk) {
    Walk sorted = {0, {}};
    for (int i = 0; i < walk.rank; ++i) {
        if (walk.axes[i].size != 1) sorted.axes[sorted.rank++] = walk.axes[i];
    }
    std::stable_sort(sorted.axes, sorted.axes + sorted.rank,
                     [](const WalkAxis& a, const WalkAxis& b) { return a.to > b.to; });
    for (int i = 0; i < sorted.rank; ++i) {
        const WalkAxis& axis = sorted.axes[i];
        WalkAxis* last = outer_.rank > 0 ? &outer_.axes[outer_.rank - 1] : nullptr;
        if (last && last->from == axis.size * axis.from && last->to == axis.size * axis.to) {
            *last = {last->size * axis.size, axis.from, axis.to};
        } else {
            outer_.axes[outer_.rank++] = axis;
        }
    }
}

void StridedCopy::choose() {
    kind_ = Kind::runs;
    piece_ = std::max<Index>(kPiece / item_, 1);
    if (outer_.rank == 0) return;
    inner_ = take(outer_.rank - 1);
    if (inner_.from == 1 && inner_.to == 1) return;
    kind_ = Kind::elements;
    if (inner_.to != 1) return;
    for (int k = 0; k < outer_.rank; ++k) {
        if (outer_.axes[k].from == 1) {
            kind_ = Kind::transposition;
            crossing_ = take(k);
            piece_ = kTile;
            return;
        }
    }
}

WalkAxis StridedCopy::take(int k) {
    const WalkAxis axis = outer_.axes[k];
    for (--outer_.rank; k < outer_.rank; ++k) outer_.axes[k] = outer_.axes[k + 1];
    return axis;
}

void StridedCopy::run(const char* from, char* to, int threads) const {
    split(units_, threads_for(work_, threads), [&](Index first, Index stop) {
        if (item_ == 1) {
            copy_units(from, to, first, stop);
        } else if (item_ == 4) {
            copy_units(reinterpret_cast<const std::uint32_t*>(from),
                       reinterpret_cast<std::uint32_t*>(to), first, stop);
        } else {
            copy_units(reinterpret_cast<const std::uint64_t*>(from),
                       reinterpret_cast<std::uint64_t*>(to), first, stop);
        }
    });
}

// Calls move(place, at, count) for every piece that the units of work first .. stop - 1 take.
template <class Move>
void StridedCopy::each_piece(Index first, Index stop, const Move& move) const {
    Cursor cursor(outer_, first / pieces_);
    Index at = first % pieces_ * piece_;
    for (Index unit = first; unit < stop; ++unit) {
        const Index count = std::min(piece_, inner_.size - at);
        move(cursor.place(), at, count);
        if ((at += count) == inner_.size) {
            at = 0;
            cursor.next();
        }
    }
}

template <class Item>
void StridedCopy::copy_units(const Item* from, Item* to, Index first, Index stop) const {
    if (kind_ == Kind::runs) {
        each_piece(first, stop, [from, to](WalkPlace place, Index at, Index count) {
            std::memcpy(to + place.to + at, from + place.from + at,
                        std::size_t(count) * sizeof(Item));
        });
    } else if (kind_ == Kind::transposition) {
        each_piece(first, stop, [this, from, to](WalkPlace place, Index at, Index count) {
            const Item* source = from + place.from + at * inner_.from;
            Item* target = to + place.to + at;
            for (Index a = 0; a < crossing_.size; a += kTile) {
                transpose_tile(source + a, target + a * crossing_.to, inner_.from, crossing_.to,
                               std::min(kTile, crossing_.size - a), count);
            }
        });
    } else {
        each_piece(first, stop, [this, from, to](WalkPlace place, Index at, Index count) {
            const Item* source = from + place.from + at * inner_.from;
            Item* target = to + place.to + at * inner_.to;
            for (Index i = 0; i < count; ++i) target[i * inner_.to] = source[i * inner_.from];
        });
    }
}

}  // namespace graphc
