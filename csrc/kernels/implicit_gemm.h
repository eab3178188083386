// ImplicitGemm: y[n,g,o,p] = act(sum_c,t W[g,o,c,t] * x[n,g,c, window p, tap t] + bias[g,o] + r),
// the sum behind convolution and its transposes, as a blocked matrix product whose right side is
// gathered block by block and never exists as a whole.
//
// Each element of y is summed over k = (c, t) in order, in blocks of a length that depends on the
// number of products only: neither threads nor batch change a bit of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/slivers.h"
#include "kernels/windows.h"

namespace graphc {

// Extents and strides are in elements; outputs and channels are those of one group.
struct ImplicitGemmShape {
    std::int64_t groups = 1, outputs = 1, channels = 1;
    std::vector<WindowAxis> axes;
    // From an operand's start to each image, and from channel to channel. Without a residual,
    // `r_images` is empty.
    std::vector<std::int64_t> x_images, y_images, r_images;
    std::int64_t x_channel = 0, y_channel = 0, r_channel = 0;
    int threads = 1;
};

// A plain matrix product as such a sum, over images of one element: x (rows, depth), y (rows,
// outputs).
ImplicitGemmShape product_shape(std::int64_t rows, std::int64_t outputs, std::int64_t depth);

// Where weight (g, o, c, t) lies: g * group + o * output + c * channel + taps[t].
struct WeightPlaces {
    std::int64_t group, output, channel;
    std::vector<std::int64_t> taps;
};

// Operands of a run. Null: no bias, no residual. y may be the residual's own storage.
struct ImplicitGemmRun {
    const float* x;
    const float* packed;
    const float* bias;
    const float* residual;
    float* y;
    char* workspace;
    int threads;
    Activation activation = Activation::none;
    float slope = 0;
};

// A prepared sum.
class SpatialGemm {
  public:
    virtual ~SpatialGemm() = default;
    virtual std::size_t workspace() const = 0;
    virtual void run(const ImplicitGemmRun& run) const = 0;
};

class ImplicitGemm final : public SpatialGemm {
  public:
    explicit ImplicitGemm(ImplicitGemmShape shape);

    // Are vectors outputs, rather than windows? Packed weights depend on it.
    static bool takes_outputs_in_lanes(std::int64_t windows, std::int64_t outputs,
                                       std::int64_t depth);

    // Floats that `pack` writes; depends on groups, outputs, channels and taps only.
    std::int64_t packed_size() const;
    static std::int64_t packed_size(std::int64_t groups, std::int64_t outputs, std::int64_t depth);
    void pack(const float* weight, const WeightPlaces& places, float* packed, int threads) const;

    std::size_t workspace() const override;
    void run(const ImplicitGemmRun& run) const override;

  private:
    struct Task;
    struct Strip;

    void plan_lanes();
    void plan_blocks();
    Task split(std::int64_t number) const;
    void run_task(const ImplicitGemmRun& run, const Task& task) const;
    std::int64_t strips(const Task& task) const;
    Strip strip(const Task& task, std::int64_t height, std::int64_t i) const;
    void make_table(const Task& task, std::int64_t first_tap, std::int64_t stop_tap) const;
    void gather(const ImplicitGemmRun& run, const Task& task, const DepthBlock& block,
                std::int64_t k0, std::int64_t k1) const;
    void multiply_windows(const ImplicitGemmRun& run, const Task& task,
                          const DepthBlock& block) const;
    void multiply_outputs(const ImplicitGemmRun& run, const Task& task,
                          const DepthBlock& block) const;
    void collect(const ImplicitGemmRun& run, const Task& task) const;
    TileStore aim(const ImplicitGemmRun& run, const Task& task, const DepthBlock& block,
                  const Strip& strip, std::int64_t o) const;
    void turn(const ImplicitGemmRun& run, const Task& task) const;
    void scatter(const ImplicitGemmRun& run, const Task& task) const;

    ImplicitGemmShape shape_;
    Windows windows_;
    const GemmLoops& loops_;
    std::int64_t images_, depth_;
    bool outputs_in_lanes_ = false;  // else windows are
    bool is_even_ = false;           // outputs in lanes, and y a matrix of windows by outputs
    std::int64_t columns_;           // windows of an image, or of all images
    std::int64_t column_blocks_ = 1, output_parts_ = 1;
    std::int64_t most_columns_ = 0;  // of a block
    std::int64_t most_outputs_ = 0;  // of a part, whole vectors if they are in lanes
    int pieces_per_tap_ = 1;
    std::int64_t table_taps_ = 0;
    // Parts of each thread's workspace, in bytes.
    std::size_t panel_bytes_ = 0, table_bytes_ = 0, sum_bytes_ = 0, runs_bytes_ = 0;
};

}  // namespace graphc
