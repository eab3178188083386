#include "bind_plan.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "error.h"
#include "plan/pack.h"

namespace py = pybind11;

namespace {

using graphc::Error;
using graphc::plan::Item;
using graphc::plan::Packer;
using graphc::plan::Packing;
using graphc::plan::Recipe;
using Table = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

constexpr std::int64_t kMaxSize = std::int64_t(1) << 62;
constexpr std::int64_t kMaxAlign = std::int64_t(1) << 30;

std::vector<Item> to_items(const Table& table) {
    if (table.ndim() != 2 || table.shape(1) != 4) throw Error("GC-C002", "no n x 4 table of items");
    std::vector<Item> items(std::size_t(table.shape(0)));
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::int64_t* row = table.data(py::ssize_t(i), 0);
        items[i] = {row[0], row[1], row[2], row[3]};
        const Item& item = items[i];
        if (item.first > item.last || item.size < 0 || item.size > kMaxSize || item.align < 1 ||
            item.align > kMaxAlign) {
            throw Error("GC-C002", "item " + std::to_string(i) + " to pack is out of range");
        }
    }
    return items;
}

Recipe to_recipe(const Table& order, const Table& hangs, std::size_t count) {
    Recipe recipe;
    std::vector<bool> seen(count);
    for (py::ssize_t i = 0; order.ndim() == 1 && i < order.shape(0); ++i) {
        const std::int64_t index = *order.data(i);
        if (index < 0 || index >= std::int64_t(count) || seen[std::size_t(index)]) break;
        seen[std::size_t(index)] = true;
        recipe.order.push_back(std::int32_t(index));
    }
    if (recipe.order.size() != count || hangs.ndim() != 1 || std::size_t(hangs.shape(0)) != count) {
        throw Error("GC-C002", "the order is no permutation of the items to pack");
    }
    for (std::size_t i = 0; i < count; ++i) recipe.hangs.push_back(*hangs.data(i) != 0);
    return recipe;
}

template <class T>
Table to_array(const std::vector<T>& values) {
    Table array(py::ssize_t(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i) array.mutable_at(py::ssize_t(i)) = values[i];
    return array;
}

class BoundPacker {
  public:
    BoundPacker(const Table& items, std::int64_t ceiling)
        : packer_(to_items(items), ceiling), count_(std::size_t(items.shape(0))) {}

    py::tuple place(const Table& order, const Table& hangs, std::size_t past,
                    std::int64_t limit) const {
        const Recipe recipe = to_recipe(order, hangs, count_);
        Packing packing;
        {
            const py::gil_scoped_release unlocked;
            packing = packer_.place(recipe, std::min(past, count_), limit);
        }
        return py::make_tuple(packing.bytes, to_array(packing.offsets));
    }

    py::tuple improve(const Table& order, const Table& hangs, std::size_t first, std::size_t past,
                      std::int64_t work) const {
        Recipe recipe = to_recipe(order, hangs, count_);
        if (first > past || past > count_) throw Error("GC-C002", "no such part of the order");
        {
            const py::gil_scoped_release unlocked;
            recipe = packer_.improve(std::move(recipe), first, past, work);
        }
        return py::make_tuple(to_array(recipe.order), to_array(recipe.hangs));
    }

  private:
    Packer packer_;
    std::size_t count_;
};

}  // namespace

void bind_plan(py::module_& m) {
    py::class_<BoundPacker>(m, "Packer")
        .def(py::init<const Table&, std::int64_t>(), py::arg("items"), py::arg("ceiling"))
        .def("place", &BoundPacker::place, py::arg("order"), py::arg("hangs"),
             py::arg("past") = kMaxSize,
             py::arg("limit") = std::numeric_limits<std::int64_t>::max())
        .def("improve", &BoundPacker::improve, py::arg("order"), py::arg("hangs"), py::arg("first"),
             py::arg("past"), py::arg("work"));
}
