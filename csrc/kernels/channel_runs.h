// ChannelRuns: sums per channel over runs of floats. An operand is (outer, channels, inner) without
// gaps, or in blocks of channels (blocked.h); its channels form groups that lie side by side: one
// channel, a block of them, or, where `inner` is small, many. How elements are added up depends on
// the shape alone and not on how many threads there are.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/blocked.h"
#include "kernels/shapes.h"
#include "kernels/split.h"

namespace graphc {

class ChannelRuns {
  public:
    static constexpr Index kLanes = 16;       // partial sums of a run with few channels
    static constexpr Index kColumns = 256;    // of a run with many; the most of either
    static constexpr Index kCell = 16384;     // floats that are added up at once, at most
    static constexpr Index kManyGroups = 32;  // from so many on, each is one piece

    ChannelRuns() = default;

    explicit ChannelRuns(const Around& shape)
        : outer_(shape.outer), channels_(shape.extent), inner_(shape.inner) {
        const bool is_short = inner_ < kShort;
        group_ = is_short ? std::max<Index>(1, kColumns / std::max<Index>(1, inner_)) : 1;
        width_ = is_short ? std::min(group_, channels_) * inner_ : kLanes;
        is_columns_ = is_short;
        run_ = group_ * inner_;
        cut();
    }

    explicit ChannelRuns(const Blocked& blocked)
        : outer_(blocked.samples),
          channels_(blocked.channels),
          inner_(blocked.pixels()),
          group_(blocked.lanes),
          lanes_(blocked.lanes),
          width_(kLanes),
          run_(blocked.plane()) {
        cut();
    }

    // Doubles of workspace for `sums` sums per channel.
    Index partials(int sums) const { return pieces_ == 1 ? 0 : groups_ * pieces_ * sums * width_; }
    Index size() const { return outer_ * channels_ * inner_; }
    Index count() const { return outer_ * inner_; }  // elements of a channel
    Index inner() const { return inner_; }
    Index all_channels() const { return channels_; }
    Index width() const { return width_; }
    // Has each element of a run, which is one cell then, a partial sum of its own? Else every
    // kLanes-th element shares one.
    bool is_columns() const { return is_columns_; }
    Index first_channel(Index group) const { return group * group_; }
    Index channels(Index group) const { return lesser(group_, channels_ - group * group_); }
    // Where an operand's run starts, whose samples lie so far apart.
    Index offset(Index sample_step, Index group, Index outer) const {
        return outer * sample_step + group * run_;
    }
    Index plain_step() const { return channels_ * inner_; }
    // The channel in its group that element `at` of a run belongs to.
    Index channel_at(Index at) const {
        return is_columns_ ? at / std::max<Index>(1, inner_) : at % lanes_;
    }

    // Is a group one piece, which one thread adds up?
    bool is_whole() const { return pieces_ == 1; }
    Index groups() const { return groups_; }
    Index pieces() const { return pieces_; }

    // Calls body(outer, first, count) for the cells of a piece of a group: elements of one run.
    template <class Body>
    void each_cell(Index group, Index piece, const Body& body) const {
        const Index run = is_columns_ ? channels(group) * inner_ : run_;
        const Index cells = run > 0 ? outer_ * cells_ : 0;
        const Index stop = lesser((piece + 1) * per_piece_, cells);
        for (Index cell = piece * per_piece_; cell < stop; ++cell) {
            const Index first = cell % cells_ * kCell;
            body(cell / cells_, first, lesser(kCell, run - first));
        }
    }

    // Calls add(group, outer, first, count, sums) for every cell, where sums[s * width() + k] is to
    // grow; then, once per group, done(group, totals): totals[s * kColumns + channel of the group].
    template <int kSums, class Add, class Done>
    void sum(double* partial, int threads, const Add& add, const Done& done) const {
        const auto add_piece = [&](Index group, Index piece, double* sums) {
            std::fill_n(sums, kSums * width_, 0.0);
            each_cell(group, piece, [&](Index outer, Index first, Index count) {
                add(group, outer, first, count, sums);
            });
        };
        if (pieces_ > 1) {
            split(groups_ * pieces_, threads, [&](Index from, Index to) {
                for (Index i = from; i < to; ++i) {
                    add_piece(i / pieces_, i % pieces_, partial + i * kSums * width_);
                }
            });
        }
        split(groups_, threads, [&](Index from, Index to) {
            double own[kSums * kColumns], totals[kSums * kColumns];
            for (Index group = from; group < to; ++group) {
                const double* sums = own;
                if (pieces_ > 1) {
                    sums = partial + group * pieces_ * kSums * width_;
                } else {
                    add_piece(group, 0, own);
                }
                std::fill_n(totals, kSums * kColumns, 0.0);
                for (Index piece = 0; piece < pieces_; ++piece, sums += kSums * width_) {
                    for (int s = 0; s < kSums; ++s) fold(sums + s * width_, totals + s * kColumns);
                }
                done(group, totals);
            }
        });
    }

  private:
    static constexpr Index kShort = 32;

    void cut() {
        groups_ = (channels_ + group_ - 1) / group_;
        cells_ = is_columns_ ? 1 : std::max<Index>(1, (run_ + kCell - 1) / kCell);
        const Index cells = std::max<Index>(1, outer_ * cells_);
        const Index least = kCell / std::max<Index>(1, lesser(run_, kCell));
        per_piece_ = groups_ >= kManyGroups ? cells : std::max<Index>(1, least);
        pieces_ = (cells + per_piece_ - 1) / per_piece_;
    }

    void fold(const double* sums, double* totals) const {
        for (Index k = 0; k < width_; ++k) totals[channel_at(k)] += sums[k];
    }

    Index outer_ = 0, channels_ = 0, inner_ = 0;
    Index group_ = 1;  // channels of a group
    Index lanes_ = 1;  // channels that take turns in a run
    Index width_ = kLanes;
    Index run_ = 0;  // floats of a run
    bool is_columns_ = false;
    Index groups_ = 0, cells_ = 1;  // cells of a run
    Index per_piece_ = 1, pieces_ = 1;
};

}  // namespace graphc
