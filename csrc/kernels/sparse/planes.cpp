#include "kernels/sparse/planes.h"

#include <algorithm>
#include <cstring>

#include "kernels/spatial_options.h"

namespace graphc::sparse {

namespace {

bool is_whole(const Field& field) {
    const auto is = [](const Pair& pair, std::int64_t value) {
        return pair[0] == value && pair[1] == value;
    };
    return is(field.kernel, 1) && is(field.stride, 1) && is(field.pad, 0);
}

}  // namespace

std::int64_t Planes::Axis::phase(std::int64_t tap) const {
    if (is_apart) return tap;
    const auto found = std::find(remainders.begin(), remainders.end(), tap * dilation % stride);
    return found - remainders.begin();
}

Planes::Axis Planes::axis_of(const Field& field, std::size_t a, bool is_apart) {
    Axis axis;
    axis.stride = field.stride[a];
    axis.dilation = field.dilation[a];
    axis.is_apart = is_apart;
    for (std::int64_t tap = 0; tap < field.kernel[a]; ++tap) {
        axis.reach = std::max(axis.reach, axis.shift(tap));
        if (axis.phase(tap) == std::int64_t(axis.remainders.size())) {
            const std::int64_t at = tap * axis.dilation;
            axis.remainders.push_back(is_apart ? at : at % axis.stride);
        }
    }
    return axis;
}

Planes::Planes(const Field& field, const Loops& loops, bool is_apart)
    : field_(field), loops_(loops) {
    if (is_whole(field)) {
        image_ = field.size;
        field_.size = {1, product({field.size[0], field.size[1]})};
    }
    high_ = field_.windows(0);
    wide_ = field_.windows(1);
    axes_[0] = axis_of(field_, 0, false);
    axes_[1] = axis_of(field_, 1, is_apart);
    pitch_ = wide_ + axes_[1].reach;
    rows_ = high_ + axes_[0].reach;
    if (is_apart) {
        pitch_ = (wide_ + width() - 1) / width() * width();
    } else if (field_.stride[1] == 1) {
        const std::int64_t left = field_.pad[1];
        const std::int64_t right =
            std::max<std::int64_t>(0, wide_ + axes_[1].reach - left - field_.size[1]);
        pitch_ = std::min(pitch_, field_.size[1] + std::max(left, right));
    }
    const std::int64_t fitting = std::int64_t(loops_.vectors) * width() / (rows_ * pitch_);
    joined_ = std::clamp<std::int64_t>(fitting, 1, std::max<std::int64_t>(field_.images, 1));
    is_copied_ = !is_whole(field_) || joined_ > 1 || pitch_ != wide_;
    is_aligned_ = is_apart || (is_whole(field_) && pitch_ % width() == 0);
    plane_ = product({joined_, rows_, pitch_});
    channel_ = product({plane_, std::int64_t(axes_[0].remainders.size()),
                        std::int64_t(axes_[1].remainders.size())});
    count_ = at(joined_ - 1, high_ - 1) + wide_;
    slack_ =
        std::max(pitch_, vectors() * width() + axes_[0].reach * pitch_ + axes_[1].reach - plane_);
    require(product({channel_, field.channels}) + slack_ < (std::int64_t(1) << 31),
            "x is too large for sparse weights");
    make_pieces();
}

// Element i of a row of a plane is element i * stride + remainder - pad of x.
void Planes::make_pieces() {
    const std::int64_t stride = field_.stride[1], lanes = width();
    for (const std::int64_t remainder : axes_[1].remainders) {
        for (std::int64_t q = 0; q < pitch_; q += lanes) {
            const std::int64_t first = q * stride + remainder - field_.pad[1];
            const auto lanes_below = [&](std::int64_t element) {
                return std::clamp<std::int64_t>(
                    element > first ? (element - first + stride - 1) / stride : 0, 0,
                    std::min(lanes, pitch_ - q));
            };
            const int low = int(lanes_below(0)), high = int(lanes_below(field_.size[1]));
            pieces_.push_back(low < high ? make_piece(first, low, high) : Piece{});
        }
    }
}

std::int64_t Planes::offset(std::int64_t channel, std::int64_t row_tap, std::int64_t tap) const {
    const std::int64_t phases = std::int64_t(axes_[1].remainders.size());
    return channel * channel_ + (axes_[0].phase(row_tap) * phases + axes_[1].phase(tap)) * plane_ +
           axes_[0].shift(row_tap) * pitch_ + axes_[1].shift(tap);
}

std::int64_t Planes::met(std::int64_t vectors) const {
    const std::int64_t phases =
        std::int64_t(axes_[0].remainders.size() * axes_[1].remainders.size());
    return phases * (vectors * width() + axes_[0].reach * pitch_ + axes_[1].reach);
}

void Planes::copy(const float* x, const Images& from, std::int64_t channel, std::int64_t first,
                  float* planes) const {
    const std::int64_t images = std::min(joined_, field_.images - first);
    const std::int64_t vectors = (pitch_ + width() - 1) / width();
    CopyJob job{};
    job.x_row = from.row;
    job.height = field_.size[0];
    job.stride = field_.stride[0];
    job.step = field_.stride[1];
    job.to = planes + channel * channel_;
    job.rows = rows_;
    job.pitch = pitch_;
    for (const std::int64_t down : axes_[0].remainders) {
        job.first = down - field_.pad[0];
        job.pieces = pieces_.data();
        for (std::size_t across = 0; across < axes_[1].remainders.size(); ++across) {
            for (std::int64_t j = 0; j < joined_; ++j, job.to += rows_ * pitch_) {
                if (j >= images) continue;
                job.x = x + from.starts[std::size_t(first + j)] + channel * from.channel;
                if (is_whole(field_)) {
                    copy_image(job.x, from.row, job.to);
                } else {
                    graphc::chosen_loops().copy(job);
                }
            }
            job.pieces += vectors;
        }
    }
}

void Planes::copy_image(const float* x, std::int64_t row, float* to) const {
    for (std::int64_t i = 0; i < image_[0]; ++i) {
        std::memcpy(to + i * image_[1], x + i * row, std::size_t(image_[1]) * sizeof(float));
    }
    for (std::int64_t i = wide_; i < pitch_; ++i) to[i] = 0;
}

void Planes::end(float* planes) const {
    std::memset(planes + field_.channels * channel_, 0, std::size_t(slack_) * sizeof(float));
}

}  // namespace graphc::sparse
