#include "bind_plan.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "error.h"
#include "plan/pack.h"

namespace py = pybind11;

namespace {

using graphc::Error;
using graphc::plan::Item;
using graphc::plan::Order;
using Table = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

constexpr std::int64_t kMaxSize = std::int64_t(1) << 62;
constexpr std::int64_t kMaxAlign = std::int64_t(1) << 30;

std::vector<Item> to_items(const Table& table) {
    if (table.ndim() != 2 || table.shape(1) != 5)
        throw Error("GC-C002", "items are no n x 5 table");
    std::vector<Item> items(std::size_t(table.shape(0)));
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::int64_t* row = table.data(py::ssize_t(i), 0);
        items[i] = {row[0], row[1], row[2], row[3], row[4] != 0};
        const Item& item = items[i];
        if (item.first > item.last || item.size < 0 || item.size > kMaxSize || item.align < 1 ||
            item.align > kMaxAlign) {
            throw Error("GC-C002", "item " + std::to_string(i) + " to pack is out of range");
        }
    }
    return items;
}

std::vector<Order> to_orders(const py::sequence& told, std::size_t count) {
    std::vector<Order> orders;
    for (const py::handle each : told) {
        const auto array = py::cast<Table>(each);
        std::vector<bool> seen(count);
        Order order;
        for (py::ssize_t i = 0; array.ndim() == 1 && i < array.shape(0); ++i) {
            const std::int64_t index = *array.data(i);
            if (index < 0 || index >= std::int64_t(count) || seen[std::size_t(index)]) break;
            seen[std::size_t(index)] = true;
            order.push_back(std::int32_t(index));
        }
        if (order.size() != count)
            throw Error("GC-C002", "an order is no permutation of the items");
        orders.push_back(std::move(order));
    }
    return orders;
}

py::tuple pack(const Table& table, const py::sequence& orders, std::int64_t bound, int rounds) {
    const std::vector<Item> items = to_items(table);
    const std::vector<Order> permutations = to_orders(orders, items.size());
    graphc::plan::Packing packing;
    {
        const py::gil_scoped_release unlocked;
        packing = graphc::plan::pack(items, permutations, bound, rounds);
    }
    packing.offsets.resize(items.size());
    return py::make_tuple(packing.bytes, Table(py::ssize_t(items.size()), packing.offsets.data()));
}

}  // namespace

void bind_plan(py::module_& m) {
    m.def("pack", &pack, py::arg("items"), py::arg("orders"), py::arg("bound"), py::arg("rounds"));
}
