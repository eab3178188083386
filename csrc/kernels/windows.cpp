#include "kernels/windows.h"

#include <algorithm>

#include "core/tensor.h"
#include "error.h"

namespace graphc {

namespace {

bool is_passed_along(const WindowAxis& axis) {
    return axis.in == axis.windows && axis.step == 1 && axis.stride == 1 && axis.first == 0 &&
           axis.shifts.size() == 1 && axis.shifts[0] == 0;
}

bool can_join(const WindowAxis& a, const WindowAxis& b) {
    return is_passed_along(a) && is_passed_along(b) && a.x_pitch == b.in * b.x_pitch &&
           a.y_pitch == b.in * b.y_pitch && a.r_pitch == b.in * b.r_pitch;
}

// The first whole number not below a / b, b > 0.
std::int64_t divide_up(std::int64_t a, std::int64_t b) { return a > 0 ? (a - 1) / b + 1 : a / b; }

}  // namespace

Windows::Windows(std::vector<WindowAxis> axes) {
    if (axes.size() > std::size_t(kMaxRank)) throw Error("GC-A001", "too many spatial axes");
    for (WindowAxis& axis : axes) {
        if (!axes_.empty() && can_join(axes_.back(), axis)) {
            axis.in = axis.windows = axes_.back().in * axis.in;
            axes_.pop_back();
        }
        axes_.push_back(std::move(axis));
    }
    if (axes_.empty()) axes_.emplace_back();
    if (axes_.back().in > 1 && axes_.back().x_pitch != 1) {
        throw Error("GC-A001", "the last axis of x has gaps");
    }
    std::int64_t size = 1;
    for (std::size_t i = axes_.size(); i-- > 0;) {
        const WindowAxis& axis = axes_[i];
        taps_ *= std::int64_t(axis.shifts.size());
        dense_ = dense_ && axis.stride == 1 && axis.first == 0 &&
                 (axis.windows <= 1 || (axis.y_pitch == size && axis.r_pitch == size));
        size *= axis.windows;
    }
    row_ = axes_.back().windows;
    for (std::size_t i = 0; i + 1 < axes_.size(); ++i) rows_ *= axes_[i].windows;
    for (std::int64_t tap = 0; tap < taps_; ++tap) {
        std::int64_t rest = tap, left = taps_;
        for (const WindowAxis& axis : axes_) {
            left /= std::int64_t(axis.shifts.size());
            tap_shifts_.push_back(axis.shifts[std::size_t(rest / left)]);
            rest %= left;
        }
    }
    const WindowAxis& last = axes_.back();
    for (const std::int64_t shift : last.shifts) {
        const std::int64_t low = std::clamp<std::int64_t>(divide_up(-shift, last.step), 0, row_);
        low_.push_back(low);
        high_.push_back(std::clamp<std::int64_t>(divide_up(last.in - shift, last.step), low, row_));
    }
}

std::int64_t Windows::most_runs(std::int64_t columns) const {
    return std::min(columns, (columns - 1) / std::max<std::int64_t>(row_, 1) + 2);
}

int Windows::cut(std::int64_t first, std::int64_t count, WindowRun* runs) const {
    int made = 0;
    for (std::int64_t done = 0; done < count; ++made) {
        const std::int64_t row = (first + done) / row_, start = (first + done) % row_;
        const std::int64_t taken = std::min(row_ - start, count - done);
        runs[made] = {row / rows_, row % rows_, start, done, taken};
        done += taken;
    }
    return made;
}

std::int64_t Windows::target(const WindowRun& run, std::int64_t WindowAxis::* pitch) const {
    const WindowAxis& last = axes_.back();
    std::int64_t rest = run.row, at = (last.first + run.start * last.stride) * (last.*pitch);
    for (std::size_t i = axes_.size() - 1; i-- > 0;) {
        const WindowAxis& axis = axes_[i];
        at += (axis.first + rest % axis.windows * axis.stride) * (axis.*pitch);
        rest /= axis.windows;
    }
    return at;
}

RowMeeting Windows::meet(std::int64_t row, std::int64_t tap) const {
    const std::size_t leading = axes_.size() - 1;
    const std::int64_t* shifts = tap_shifts_.data() + std::size_t(tap) * axes_.size();
    std::int64_t at = shifts[leading];
    for (std::size_t i = leading; i-- > 0;) {
        const WindowAxis& axis = axes_[i];
        const std::int64_t element = row % axis.windows * axis.step + shifts[i];
        if (element < 0 || element >= axis.in) return {0, 0, 0};
        at += element * axis.x_pitch;
        row /= axis.windows;
    }
    const std::size_t in_row = std::size_t(tap) % axes_.back().shifts.size();
    return {at, low_[in_row], high_[in_row]};
}

void Windows::make_pieces(const WindowRun* runs, int count, const std::int64_t* image_offsets,
                          std::int64_t first_tap, std::int64_t stop_tap, int per_tap,
                          Piece* pieces) const {
    std::fill(pieces, pieces + (stop_tap - first_tap) * per_tap, Piece{});
    for (std::int64_t tap = first_tap; tap < stop_tap; ++tap, pieces += per_tap) {
        int made = 0;
        for (int i = 0; i < count; ++i) {
            const WindowRun& run = runs[i];
            const RowMeeting met = meet(run.row, tap);
            const std::int64_t low = std::max(run.start, met.low);
            const std::int64_t high = std::min(run.start + run.count, met.high);
            if (low >= high) continue;
            const std::int64_t lane_zero = (run.start - run.column) * step();
            pieces[made++] =
                make_piece(image_offsets[run.image] + met.at + lane_zero,
                           int(run.column + low - run.start), int(run.column + high - run.start));
        }
    }
}

}  // namespace graphc
