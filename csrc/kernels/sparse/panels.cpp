// "inner_product_panels": y[n,o] = sum_k w[o,k] x[n,k] + bias[o] where the weight has zeros in
// blocks of 16 outputs: of each 16 outputs, vectors, only those k are kept where any weight is not
// zero. Packed by "inner_product_panels_pack". Operands and attributes: inner_product.h; `stored`
// counts 16 for each k that is kept.

#include "kernels/parallel.h"
#include "kernels/sparse/inner_product.h"
#include "kernels/sparse/product.h"
#include "kernels/split.h"

namespace graphc::sparse {

namespace {

constexpr std::int64_t kRows = 16;  // of x that are multiplied by a panel at a time

// The packed weight: int32 starts of panels, in columns; int32 columns; values.
struct Layout {
    std::int64_t panels, columns_room;

    explicit Layout(const ProductTold& told) : panels((told.outputs + kPanel - 1) / kPanel) {
        const std::int64_t most = product({panels, told.depth});
        columns_room = told.stored ? std::min(most, (told.stored + kPanel - 1) / kPanel) : most;
        require(columns_room < (std::int64_t(1) << 31), "too many weights");
    }

    std::int64_t columns() const { return panels + 1; }
    std::int64_t values() const { return columns() + columns_room; }
    std::int64_t size() const { return values() + kPanel * columns_room; }
};

class Panels final : public Kernel {
  public:
    explicit Panels(const Problem& problem)
        : told_(problem.attrs), layout_(told_), loops_(chosen_loops()) {
        told_.check(problem, layout_.size());
        const double products = double(layout_.columns_room) * kPanel * double(told_.batch);
        threads_ = threads_for(0.05 * products, problem.threads);
    }

    std::size_t packed() const override { return std::size_t(layout_.size()); }

    void run(const Run& run) const override {
        const auto* packed = reinterpret_cast<const std::int32_t*>(run.reads[1]);
        share_out(layout_.panels, std::min(run.threads, threads_), [&](std::int64_t panel, int) {
            const std::int64_t first = panel * kPanel;
            const std::int64_t count = std::min<std::int64_t>(kPanel, told_.outputs - first);
            float sums[kRows * kPanel];
            PanelJob job{};
            job.x_row = told_.depth;
            job.offsets = packed + layout_.columns() + packed[panel];
            job.values = run.in(1) + layout_.values() + std::int64_t(packed[panel]) * kPanel;
            job.count = packed[panel + 1] - packed[panel];
            job.sums = sums;
            for (std::int64_t n = 0; n < told_.batch; n += kRows) {
                job.x = run.in(0) + n * told_.depth;
                job.rows = std::min(kRows, told_.batch - n);
                loops_.panel(job);
                for (std::int64_t i = 0; i < job.rows; ++i) {
                    told_.place(run, loops_, n + i, first, count, sums + i * kPanel);
                }
            }
        });
    }

  private:
    ProductTold told_;
    Layout layout_;
    const Loops& loops_;
    int threads_ = 1;
};

// weight (O, K), or (K, O) -> packed. Fault GC-W004.
class PanelsPack final : public Kernel {
  public:
    explicit PanelsPack(const Problem& problem) : told_(problem.attrs), layout_(told_) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        require_flat(problem.reads[0], told_.weights(), "weight");
        require_flat(problem.writes[0], layout_.size(), "packed weight");
    }

    void run(const Run& run) const override {
        const float* weight = run.in(0);
        auto* starts = reinterpret_cast<std::int32_t*>(run.writes[0]);
        std::int64_t made = 0;
        for (std::int64_t panel = 0; panel < layout_.panels; ++panel) {
            starts[panel] = std::int32_t(made);
            for (std::int64_t k = 0; k < told_.depth; ++k) {
                float values[kPanel];
                bool is_live = false;
                for (std::int64_t i = 0; i < kPanel; ++i) {
                    const std::int64_t o = panel * kPanel + i;
                    values[i] = o < told_.outputs ? told_.weight(weight, o, k) : 0;
                    is_live |= values[i] != 0;
                }
                if (!is_live) continue;
                if (made == layout_.columns_room) {
                    return report_room(run.fault, (made + 1) * kPanel, made * kPanel);
                }
                starts[layout_.columns() + made] = std::int32_t(k);
                std::copy(values, values + kPanel, run.out(0) + layout_.values() + made * kPanel);
                ++made;
            }
        }
        starts[layout_.panels] = std::int32_t(made);
    }

  private:
    ProductTold told_;
    Layout layout_;
};

GRAPHC_KERNEL("inner_product_panels", Panels)
GRAPHC_KERNEL("inner_product_panels_pack", PanelsPack)

}  // namespace

}  // namespace graphc::sparse
