#include "kernels/sparse/planes.h"

#include <algorithm>
#include <cstring>

#include "kernels/spatial_options.h"

namespace graphc::sparse {

namespace {

constexpr std::int64_t kLongRow = 2;  // vectors

// How much longer a vector takes to load that may lie across two lines of a cache.
double split_cost(int width) { return 1 + 0.8 * double(width * width) / 256; }

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

Planes::Planes(Field field, int width, int most_vectors) : field_(field), width_(width) {
    if (is_whole(field)) {
        image_ = field.size;
        field_.size = {1, product({field.size[0], field.size[1]})};
    }
    high_ = field_.windows(0);
    wide_ = field_.windows(1);
    lay_out(true, most_vectors);
    const double apart = double(vectors()) / double(joined_);
    lay_out(false, most_vectors);
    const double together = double(vectors()) / double(joined_);
    // Several planes of a channel crowd the cache out.
    const bool is_long = field.kernel[1] == 1 || wide_ >= kLongRow * width;
    if (is_long && apart <= split_cost(width) * together) lay_out(true, most_vectors);
    require(product({channel_, field.channels}) + slack_ < (std::int64_t(1) << 31),
            "x is too large for sparse weights");
}

void Planes::lay_out(bool is_apart, int most_vectors) {
    axes_[0] = axis_of(field_, 0, false);
    axes_[1] = axis_of(field_, 1, is_apart);
    pitch_ = wide_ + axes_[1].reach;
    rows_ = high_ + axes_[0].reach;
    if (is_apart) {
        pitch_ = (wide_ + width_ - 1) / width_ * width_;
    } else if (field_.stride[1] == 1) {
        const std::int64_t left = field_.pad[1];
        const std::int64_t right =
            std::max<std::int64_t>(0, wide_ + axes_[1].reach - left - field_.size[1]);
        pitch_ = std::min(pitch_, field_.size[1] + std::max(left, right));
    }
    const std::int64_t fitting = std::int64_t(most_vectors) * width_ / (rows_ * pitch_);
    joined_ = std::clamp<std::int64_t>(fitting, 1, std::max<std::int64_t>(field_.images, 1));
    is_copied_ = !is_whole(field_) || joined_ > 1 || pitch_ != wide_;
    plane_ = product({joined_, rows_, pitch_});
    channel_ = product({plane_, std::int64_t(axes_[0].remainders.size()),
                        std::int64_t(axes_[1].remainders.size())});
    count_ = at(joined_ - 1, high_ - 1) + wide_;
    slack_ =
        std::max(pitch_, vectors() * width_ + axes_[0].reach * pitch_ + axes_[1].reach - plane_);
}

std::int64_t Planes::offset(std::int64_t channel, std::int64_t row_tap, std::int64_t tap) const {
    const std::int64_t phases = std::int64_t(axes_[1].remainders.size());
    return channel * channel_ + (axes_[0].phase(row_tap) * phases + axes_[1].phase(tap)) * plane_ +
           axes_[0].shift(row_tap) * pitch_ + axes_[1].shift(tap);
}

std::int64_t Planes::met(std::int64_t vectors) const {
    const std::int64_t phases =
        std::int64_t(axes_[0].remainders.size() * axes_[1].remainders.size());
    return phases * (vectors * width_ + axes_[0].reach * pitch_ + axes_[1].reach);
}

void Planes::copy(const float* x, const Images& from, std::int64_t channel, std::int64_t first,
                  float* planes) const {
    float* to = planes + channel * channel_;
    const std::int64_t images = std::min(joined_, field_.images - first);
    for (const std::int64_t down : axes_[0].remainders) {
        for (const std::int64_t across : axes_[1].remainders) {
            float* row = to;
            for (std::int64_t j = 0; j < images; ++j) {
                const float* image =
                    x + from.starts[std::size_t(first + j)] + channel * from.channel;
                if (is_whole(field_)) {
                    copy_image(image, from.row, row);
                    row += pitch_;
                    continue;
                }
                for (std::int64_t i = 0; i < rows_; ++i, row += pitch_) {
                    const std::int64_t y = i * field_.stride[0] + down - field_.pad[0];
                    if (y >= 0 && y < field_.size[0]) {
                        copy_row(image + y * from.row, across, row);
                    } else {
                        std::memset(row, 0, std::size_t(pitch_) * sizeof(float));
                    }
                }
            }
            to += plane_;
        }
    }
}

// Element i of a row of a plane is element i * stride + remainder - pad of x.
void Planes::copy_row(const float* x, std::int64_t remainder, float* to) const {
    const std::int64_t stride = field_.stride[1], before = field_.pad[1] - remainder;
    const auto least = [&](std::int64_t element) {  // i whose element is not below
        const std::int64_t distance = element + before;
        return std::clamp<std::int64_t>(distance > 0 ? (distance + stride - 1) / stride : 0, 0,
                                        pitch_);
    };
    const std::int64_t low = least(0), high = least(field_.size[1]);
    std::int64_t i = 0;
    for (; i < low; ++i) to[i] = 0;
    if (stride == 1) {
        if (high > low) {
            std::memcpy(to + low, x + low - before, std::size_t(high - low) * sizeof(float));
        }
    } else {
        for (; i < high; ++i) to[i] = x[i * stride - before];
    }
    for (i = std::max(low, high); i < pitch_; ++i) to[i] = 0;
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
