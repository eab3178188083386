// How ImplicitGemm multiplies what a task has gathered, and puts the sums into their places.

#include <algorithm>

#include "kernels/implicit_gemm_task.h"

namespace graphc {

// Rows of a tile are outputs, their weights in slivers; columns are windows.
void ImplicitGemm::multiply_windows(const ImplicitGemmRun& run, const Task& task,
                                    const DepthBlock& block) const {
    const std::int64_t width = loops_.width, output = task.group * shape_.outputs + task.output;
    const bool is_dense = windows_.is_dense();
    const std::size_t image = std::size_t(task.column / windows_.count());
    const std::int64_t column = task.column % windows_.count();
    TileStore store{};
    store.row = store.add_row = is_dense ? shape_.y_channel : most_columns_;
    float* c =
        is_dense ? run.y + shape_.y_images[image] + output * shape_.y_channel + column : task.sums;
    const float* add = block.is_first ? nullptr : c;
    if (block.is_first && run.residual) {
        add = is_dense ? run.residual + shape_.r_images[image] + output * shape_.r_channel + column
                       : task.sums;
        if (is_dense) store.add_row = shape_.r_channel;
    }
    const bool is_final = block.is_last && is_dense;
    store.activation = is_final ? run.activation : Activation::none;
    store.slope = run.slope;
    const float* packed = run.packed + task.group * (packed_size() / shape_.groups);
    const Slivers slivers(shape_.outputs, loops_);
    TileJob narrow[2];  // narrow tiles, which are done two by two
    TileStore stores[2];
    int heights[2], waiting = 0;
    std::int64_t columns = 0;
    for (std::int64_t s = 0; s < slivers.count(); ++s) {
        const std::int64_t start = slivers.start(s), down = start - task.output;
        if (down < 0 || down >= task.outputs) continue;
        const std::int64_t rows = slivers.start(s + 1) - start;
        const float* left = packed + start * depth_ + block.k0 * rows;
        if (is_final && run.bias) store.row_bias = run.bias + output + down;
        const std::int64_t count = strips(task), step = (rows + count - 1) / count;
        const float* next = left + rows * depth_;  // the next sliver's weights
        for (std::int64_t i = 0; i < count; ++i) {
            const Strip strip = this->strip(task, block.height(), i);
            store.c = c + down * store.row + strip.column;
            if (add) store.add = add + down * store.add_row + strip.column;
            store.last = int(strip.columns - (strip.vectors - 1) * width);
            const TileJob job{block.height(), left, task.panels + strip.at,
                              next + block.height() * i * step, step};
            if (is_narrow(loops_, rows, strip.columns, job.depth)) {
                columns = strip.columns;
                narrow[waiting] = job;
                heights[waiting] = int(rows);
                stores[waiting++] = store;
            } else {
                loops_.tile[rows - 1][strip.vectors - 1](job, store);
            }
        }
        const bool is_last = s + 1 == slivers.count() || down + rows == task.outputs;
        if (waiting == 2 || (waiting == 1 && is_last)) {
            loops_.narrow_tile[columns - 1][waiting - 1](narrow, heights, stores);
            waiting = 0;
        }
    }
}

// Rows of a tile are windows; columns are outputs, their weights in panels.
void ImplicitGemm::multiply_outputs(const ImplicitGemmRun& run, const Task& task,
                                    const DepthBlock& block) const {
    const std::int64_t width = loops_.width, panel = kTileVectors * width;
    const float* packed = run.packed + task.group * (packed_size() / shape_.groups);
    const std::int64_t row = (task.outputs + width - 1) / width * width;
    for (std::int64_t o = 0; o < row; o += panel) {
        const int vectors = int(std::min(panel, row - o) / width);
        const float* right = packed + (task.output + o) * depth_ + block.k0 * vectors * width;
        // The weights that are needed next: the next panel's, or the first's for the next block.
        const float* next = o + panel < row
                                ? right + panel * depth_
                                : packed + task.output * depth_ + block.k1 * std::min(panel, row);
        const std::int64_t count = strips(task), step = (vectors * width + count - 1) / count;
        for (std::int64_t i = 0; i < count; ++i) {
            const Strip strip = this->strip(task, block.height(), i);
            TileStore store{};
            if (is_even_) {
                store = aim(run, task, block, strip, o);
            } else {
                store.c = task.sums + strip.column * row + o;
                store.row = store.add_row = row;
                store.add = block.is_first ? nullptr : store.c;
                store.last = int(width);
            }
            const TileJob job{block.height(), task.panels + strip.at, right,
                              next + block.height() * i * step, step};
            loops_.tile[strip.columns - 1][vectors - 1](job, store);
        }
    }
}

// Where a tile goes if windows are the rows of a matrix y, and outputs its columns.
TileStore ImplicitGemm::aim(const ImplicitGemmRun& run, const Task& task, const DepthBlock& block,
                            const Strip& strip, std::int64_t o) const {
    const std::size_t image = std::size_t(task.column + strip.column);
    const std::int64_t output = task.group * shape_.outputs + task.output + o;
    const auto pitch = [](const std::vector<std::int64_t>& images) {
        return images.size() > 1 ? images[1] - images[0] : 0;
    };
    TileStore store{};
    store.c = run.y + shape_.y_images[image] + output;
    store.row = store.add_row = pitch(shape_.y_images);
    store.add = block.is_first ? nullptr : store.c;
    if (block.is_first && run.residual) {
        store.add = run.residual + shape_.r_images[image] + output;
        store.add_row = pitch(shape_.r_images);
    }
    const std::int64_t panel = kTileVectors * loops_.width;
    store.last = int((std::min(panel, task.outputs - o) - 1) % loops_.width) + 1;
    if (!block.is_last) return store;
    store.column_bias = run.bias ? run.bias + output : nullptr;
    store.activation = run.activation;
    store.slope = run.slope;
    return store;
}

// The residual as the first summand, as it is where sums are made in place.
void ImplicitGemm::collect(const ImplicitGemmRun& run, const Task& task) const {
    const std::int64_t step = windows_.target_step(&WindowAxis::r_pitch);
    const int count = windows_.cut(task.column, task.columns, task.runs);
    for (std::int64_t o = 0; o < task.outputs; ++o) {
        const std::int64_t output = task.group * shape_.outputs + task.output + o;
        for (const WindowRun* part = task.runs; part < task.runs + count; ++part) {
            const float* from = run.residual + shape_.r_images[std::size_t(part->image)] +
                                output * shape_.r_channel +
                                windows_.target(*part, &WindowAxis::r_pitch);
            float* to = task.sums + o * most_columns_ + part->column;
            for (std::int64_t i = 0; i < part->count; ++i) to[i] = from[i * step];
        }
    }
}

// Puts sums with outputs in lanes where windows lie side by side, image by image.
void ImplicitGemm::turn(const ImplicitGemmRun& run, const Task& task) const {
    const std::int64_t width = loops_.width, windows = windows_.count();
    const std::int64_t row = (task.outputs + width - 1) / width * width;
    TileStore store{};
    store.row = shape_.y_channel;
    store.add_row = shape_.r_channel;
    store.activation = run.activation;
    store.slope = run.slope;
    for (std::int64_t c = 0, taken = 0; c < task.columns; c += taken) {
        const std::int64_t window = (task.column + c) % windows;
        const std::size_t image = std::size_t((task.column + c) / windows);
        taken = std::min({width, windows - window, task.columns - c});
        for (std::int64_t o = 0; o < task.outputs; o += width) {
            const std::int64_t output = task.group * shape_.outputs + task.output + o;
            store.c = run.y + shape_.y_images[image] + output * shape_.y_channel + window;
            if (run.residual) {
                store.add =
                    run.residual + shape_.r_images[image] + output * shape_.r_channel + window;
            }
            if (run.bias) store.row_bias = run.bias + output;
            loops_.turn(task.sums + c * row + o, row, int(taken),
                        int(std::min(width, task.outputs - o)), store);
        }
    }
}

// Puts the sums into their places, with what is still to be added.
void ImplicitGemm::scatter(const ImplicitGemmRun& run, const Task& task) const {
    const std::int64_t width = loops_.width;
    const std::int64_t row = (task.outputs + width - 1) / width * width;
    const std::int64_t output_step = outputs_in_lanes_ ? 1 : most_columns_;
    const std::int64_t column_step = outputs_in_lanes_ ? row : 1;
    const std::int64_t y_step = windows_.target_step(&WindowAxis::y_pitch);
    const std::int64_t r_step = windows_.target_step(&WindowAxis::r_pitch);
    const bool adds = outputs_in_lanes_ && run.residual;
    const int count = windows_.cut(task.column, task.columns, task.runs);
    for (std::int64_t o = 0; o < task.outputs; ++o) {
        const std::int64_t output = task.group * shape_.outputs + task.output + o;
        for (const WindowRun* part = task.runs; part < task.runs + count; ++part) {
            const std::size_t image = std::size_t(part->image);
            const float* from = task.sums + o * output_step + part->column * column_step;
            float* y = run.y + shape_.y_images[image] + output * shape_.y_channel +
                       windows_.target(*part, &WindowAxis::y_pitch);
            const float* residual = adds ? run.residual + shape_.r_images[image] +
                                               output * shape_.r_channel +
                                               windows_.target(*part, &WindowAxis::r_pitch)
                                         : nullptr;
            for (std::int64_t i = 0; i < part->count; ++i) {
                float value = from[i * column_step];
                if (residual) value += residual[i * r_step];
                if (run.bias) value += run.bias[output];
                y[i * y_step] = activate(value, run.activation, run.slope);
            }
        }
    }
}

}  // namespace graphc
