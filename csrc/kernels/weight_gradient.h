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
    // Throws Error (GC-A001) unless a channel's windows lie side by side in dy, and images of x
    // equally far apart.
    explicit WeightGradient(WeightGradientShape shape);

    std::size_t workspace() const { return own_bytes_ * std::size_t(shape_.threads); }
    void run(const WeightGradientRun& run) const;

  private:
    // Outputs and columns (c, t) of one group; the thread's own room.
    struct Task {
        std::int64_t group, output, outputs, column, columns;
        float *panel, *rows, *lanes;
    };
    // Products `count` of every sum; what they meet in x is in the pieces from `pieces` on.
    struct Chunk {
        std::int64_t count;
        std::size_t pieces;
    };

    void plan_chunks();
    void plan_tasks();
    void run_task(const WeightGradientRun& run, const Task& task) const;
    void gather(const float* x, const Task& task, const Chunk& chunk) const;
    const float* rows_of(const float* dy, const Task& task, std::int64_t first, std::int64_t count,
                         std::int64_t* row) const;
    template <class Body>
    void each_tile(const Task& task, const Body& body) const;
    void finish(const WeightGradientRun& run, const Task& task) const;

    WeightGradientShape shape_;
    Windows windows_;
    const GemmLoops& loops_;
    std::int64_t images_, depth_;
    std::int64_t images_per_turn_ = 1;  // chunks repeat after so many
    std::int64_t row_ = 0;              // room for the products of a chunk, whole vectors
    std::vector<Chunk> chunks_, last_;  // of a turn, and of the last one if it has fewer images
    std::vector<Piece> pieces_;         // [chunk][vector][tap][piece]
    int pieces_per_tap_ = 1;
    std::int64_t output_parts_ = 1, column_parts_ = 1, most_outputs_ = 0, most_columns_ = 0;
    std::size_t panel_bytes_ = 0, rows_bytes_ = 0, lane_bytes_ = 0, own_bytes_ = 0;
};

}  // namespace graphc
