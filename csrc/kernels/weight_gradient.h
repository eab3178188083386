// WeightGradient: dw[g,o,c,t] = sum_n,p dy[n,g,o,p] * x[n,g,c, window p, tap t], or dw plus that:
// dot products of what a channel of y's gradient holds and what x's windows meet.
//
// An element is summed over (n, p) in pieces whose length depends on the numbers of windows and
// images only: neither threads nor other elements change a bit of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/windows.h"

namespace graphc {

// Extents and strides are in elements; outputs and channels are those of one group.
struct WeightGradientShape {
    std::int64_t groups = 1, outputs = 1, channels = 1;
    std::vector<WindowAxis> axes;
    // From an operand's start to each image, and from channel to channel.
    std::vector<std::int64_t> x_images, dy_images;
    std::int64_t x_channel = 0, dy_channel = 0;
    int threads = 1;
};

struct WeightGradientRun {
    const float *dy, *x;
    float* dw;
    bool adds;  // to what dw holds
    char* workspace;
    int threads;
};

class WeightGradient {
  public:
    // Throws Error (GC-A001) unless a channel's windows lie side by side in dy.
    explicit WeightGradient(WeightGradientShape shape);

    std::size_t workspace() const { return own_bytes_ * std::size_t(shape_.threads); }
    void run(const WeightGradientRun& run) const;

  private:
    // Outputs and columns (c, t) of one group; the thread's own room.
    struct Task {
        std::int64_t group, output, outputs, column, columns;
        float *panel, *rows, *lanes;
        WindowRun* runs;
    };

    void run_task(const WeightGradientRun& run, const Task& task) const;
    void gather(const float* x, const Task& task, int runs) const;
    const float* rows_of(const float* dy, const Task& task, std::int64_t first, std::int64_t count,
                         std::int64_t* row) const;
    template <class Body>
    void each_tile(const Task& task, const Body& body) const;
    void finish(const WeightGradientRun& run, const Task& task) const;

    WeightGradientShape shape_;
    Windows windows_;
    const GemmLoops& loops_;
    std::int64_t images_, depth_;
    std::int64_t piece_, row_;  // products of a piece at most; room for them, whole vectors
    std::int64_t output_parts_, column_parts_, most_outputs_, most_columns_;
    std::size_t panel_bytes_ = 0, rows_bytes_ = 0, lane_bytes_ = 0, own_bytes_ = 0;
};

}  // namespace graphc
