// How ImplicitGemm runs a task: a block of columns (windows) by a part of the outputs. This file
// cuts and gathers, implicit_gemm_multiply.cpp multiplies.

#include <algorithm>

#include "kernels/implicit_gemm_task.h"
#include "kernels/parallel.h"

namespace graphc {

void ImplicitGemm::run(const ImplicitGemmRun& run) const {
    if (columns_ == 0 || images_ == 0) return;
    const std::int64_t repeats = outputs_in_lanes_ ? 1 : images_;
    const std::int64_t tasks = repeats * shape_.groups * column_blocks_ * output_parts_;
    const std::size_t own_bytes = workspace() / std::size_t(shape_.threads);
    share_out(tasks, std::min(run.threads, shape_.threads), [&](std::int64_t number, int thread) {
        Task task = split(number);
        if (task.columns <= 0 || task.outputs <= 0) return;
        char* own = run.workspace + own_bytes * std::size_t(thread);
        task.panels = reinterpret_cast<float*>(own);
        task.pieces = reinterpret_cast<Piece*>(own + panel_bytes_);
        task.sums = reinterpret_cast<float*>(own + panel_bytes_ + table_bytes_);
        task.runs = reinterpret_cast<WindowRun*>(own + panel_bytes_ + table_bytes_ + sum_bytes_);
        run_task(run, task);
    });
}

// Parts of one block are neighbours, so that threads share what they gather from.
ImplicitGemm::Task ImplicitGemm::split(std::int64_t number) const {
    const std::int64_t part = number % output_parts_;
    number /= output_parts_;
    const std::int64_t block = number % column_blocks_;
    number /= column_blocks_;
    const auto cut = [](std::int64_t count, std::int64_t unit, std::int64_t pieces,
                        std::int64_t i) {
        return std::min(count, (count + unit - 1) / unit * i / pieces * unit);
    };
    Task task{};
    task.group = number % shape_.groups;
    const std::int64_t unit = outputs_in_lanes_ ? loops_.tile_rows : loops_.width;
    const std::int64_t first = cut(columns_, unit, column_blocks_, block);
    task.column = number / shape_.groups * columns_ + first;
    task.columns = cut(columns_, unit, column_blocks_, block + 1) - first;
    if (outputs_in_lanes_) {
        const std::int64_t panel = kTileVectors * loops_.width;
        task.output = cut(shape_.outputs, panel, output_parts_, part);
        task.outputs = cut(shape_.outputs, panel, output_parts_, part + 1) - task.output;
    } else {
        const Slivers slivers(shape_.outputs, loops_);
        task.output = slivers.start(slivers.count() * part / output_parts_);
        task.outputs = slivers.start(slivers.count() * (part + 1) / output_parts_) - task.output;
    }
    return task;
}

void ImplicitGemm::run_task(const ImplicitGemmRun& run, const Task& task) const {
    const bool is_table_whole = windows_.taps() <= table_taps_;
    if (is_table_whole) make_table(task, 0, windows_.taps());
    if (!outputs_in_lanes_ && !windows_.is_dense() && run.residual) collect(run, task);
    for (std::int64_t i = 0; i < depth_blocks(depth_); ++i) {
        const DepthBlock block = depth_block(depth_, i);
        const std::int64_t taps = windows_.taps();
        for (std::int64_t k = block.k0, stop = k; k < block.k1; k = stop) {
            // A table of some taps only serves one channel.
            stop = is_table_whole ? block.k1 : std::min(block.k1, (k / taps + 1) * taps);
            if (!is_table_whole) make_table(task, k % taps, k % taps + stop - k);
            gather(run, task, block, k, stop);
        }
        if (outputs_in_lanes_) {
            multiply_outputs(run, task, block);
        } else {
            multiply_windows(run, task, block);
        }
    }
    if (is_even_) return;
    if (outputs_in_lanes_ && windows_.is_dense()) {
        turn(run, task);
    } else if (outputs_in_lanes_ || !windows_.is_dense()) {
        scatter(run, task);
    }
}

std::int64_t ImplicitGemm::strips(const Task& task) const {
    const std::int64_t panel = kTileVectors * loops_.width;
    return outputs_in_lanes_ ? Slivers(task.columns, loops_).count()
                             : (task.columns + panel - 1) / panel;
}

ImplicitGemm::Strip ImplicitGemm::strip(const Task& task, std::int64_t height,
                                        std::int64_t i) const {
    const std::int64_t width = loops_.width, panel = kTileVectors * width;
    Strip made;
    if (outputs_in_lanes_) {
        const Slivers slivers(task.columns, loops_);
        made.column = slivers.start(i);
        made.columns = slivers.start(i + 1) - made.column;
        made.at = made.column * height + i * kMaxWidth;  // the last vector may run over the end
    } else {
        made.column = i * panel;
        made.columns = std::min(panel, task.columns - made.column);
        made.at = made.column * height;
    }
    made.vectors = int((made.columns + width - 1) / width);
    made.row = outputs_in_lanes_ ? made.columns : made.vectors * width;
    return made;
}

void ImplicitGemm::make_table(const Task& task, std::int64_t first_tap,
                              std::int64_t stop_tap) const {
    WindowRun runs[kMaxWidth];
    const std::int64_t width = loops_.width;
    Piece* to = task.pieces;
    for (std::int64_t i = 0; i < strips(task); ++i) {
        const Strip strip = this->strip(task, 0, i);
        for (std::int64_t c = 0; c < strip.columns; c += width) {
            const int count = windows_.cut(task.column + strip.column + c,
                                           std::min(width, strip.columns - c), runs);
            windows_.make_pieces(runs, count, shape_.x_images.data(), first_tap, stop_tap,
                                 pieces_per_tap_, to);
            to += table_taps_ * pieces_per_tap_;
        }
    }
}

void ImplicitGemm::gather(const ImplicitGemmRun& run, const Task& task, const DepthBlock& block,
                          std::int64_t k0, std::int64_t k1) const {
    const std::int64_t taps = windows_.taps();
    LayJob job{};
    job.pieces = task.pieces;
    job.pieces_per_tap = pieces_per_tap_;
    job.table_taps = int(table_taps_);
    job.first_tap = taps <= table_taps_ ? 0 : k0 % taps;
    job.taps = taps;
    job.channel_step = shape_.x_channel;
    job.step = windows_.step();
    job.k0 = k0;
    job.k1 = k1;
    const float* x = run.x + task.group * shape_.channels * shape_.x_channel;
    for (std::int64_t i = 0; i < strips(task); ++i) {
        const Strip strip = this->strip(task, block.height(), i);
        float* to = task.panels + strip.at + (k0 - block.k0) * strip.row;
        loops_.lay(job, x, strip.vectors, to, strip.row);
        job.pieces += strip.vectors * table_taps_ * pieces_per_tap_;
    }
}

}  // namespace graphc
