#include "bind_replay.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "error.h"
#include "plan/blocks.h"
#include "plan/chain.h"
#include "plan/polish.h"
#include "plan/stages.h"

namespace py = pybind11;

namespace {

using graphc::Error;
using graphc::plan::Blocks;
using graphc::plan::Bring;
using graphc::plan::Chain;
using graphc::plan::Found;
using graphc::plan::Lists;
using graphc::plan::Net;
using graphc::plan::Polish;
using graphc::plan::Replay;
using graphc::plan::Script;
using graphc::plan::Stages;
using graphc::plan::Trial;
using Ints = std::vector<std::int32_t>;
using Pairs = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;

Lists to_lists(Ints begin, Ints items, std::size_t count, std::int32_t most) {
    Lists lists{std::move(begin), std::move(items)};
    bool is_good = lists.begin.size() == count + 1 && lists.begin.front() == 0 &&
                   std::size_t(lists.begin.back()) == lists.items.size() &&
                   std::is_sorted(lists.begin.begin(), lists.begin.end());
    for (const std::int32_t item : lists.items) is_good = is_good && item >= 0 && item < most;
    if (!is_good) throw Error("GC-C002", "tables of a Program's calls do not fit together");
    return lists;
}

py::array_t<std::int32_t> to_pairs(const Script& script) {
    py::array_t<std::int32_t> pairs({py::ssize_t(script.size()), py::ssize_t(2)});
    auto rows = pairs.mutable_unchecked<2>();
    for (std::size_t i = 0; i < script.size(); ++i) {
        rows(py::ssize_t(i), 0) = script[i].before;
        rows(py::ssize_t(i), 1) = script[i].call;
    }
    return pairs;
}

py::tuple to_tuple(const Found& found) {
    return py::make_tuple(found.peak, found.us, to_pairs(found.script));
}

class BoundReplays {
  public:
    BoundReplays(std::int32_t later, std::vector<double> us, std::vector<std::int64_t> space,
                 Ints deadline, const std::vector<std::pair<Ints, Ints>>& tables,
                 std::vector<std::int64_t> bytes, const std::vector<bool>& droppable,
                 const std::vector<bool>& again, const std::vector<bool>& given, Ints from,
                 Ints held, const std::vector<bool>& large) {
        const std::size_t calls = us.size(), roots = bytes.size();
        net_.later = later;
        net_.us = std::move(us);
        net_.space = std::move(space);
        net_.deadline = std::move(deadline);
        net_.bytes = std::move(bytes);
        net_.from = std::move(from);
        net_.held = std::move(held);
        net_.droppable.assign(droppable.begin(), droppable.end());
        net_.again.assign(again.begin(), again.end());
        net_.given.assign(given.begin(), given.end());
        large_.assign(large.begin(), large.end());
        const bool is_good = later >= 0 && std::size_t(later) <= calls &&
                             net_.space.size() == calls && net_.deadline.size() == calls &&
                             net_.from.size() == roots && net_.held.size() == roots &&
                             net_.droppable.size() == roots && net_.again.size() == roots &&
                             net_.given.size() == roots && large_.size() == roots &&
                             tables.size() == 3;
        const auto is_call = [&](std::int32_t call) {
            return call >= -1 && call <= std::int32_t(calls);
        };
        if (!is_good || !std::all_of(net_.from.begin(), net_.from.end(), is_call) ||
            !std::all_of(net_.held.begin(), net_.held.end(), is_call)) {
            throw Error("GC-C002", "tables of a Program's calls do not fit together");
        }
        const auto most = std::int32_t(roots);
        net_.reads = to_lists(tables[0].first, tables[0].second, calls, most);
        net_.writes = to_lists(tables[1].first, tables[1].second, calls, most);
        net_.pairs = to_lists(tables[2].first, tables[2].second, calls, most);
        check_pairs();
        writers_ = graphc::plan::writers_of(net_);
    }

    py::tuple trial(const Pairs& script) const {
        const Script replays = to_script(script);
        Trial trial(net_);
        trial.run(replays);
        return py::make_tuple(trial.peak, trial.us);
    }

    // The replays of a choice, or the roots that cannot be dropped; nothing if they are too many.
    py::object script(const Ints& groups, std::size_t most) const {
        if (groups.size() != std::size_t(net_.roots())) throw Error("GC-C002", "no such choice");
        Bring bring(net_, writers_);
        bring.most = most;
        for (std::size_t r = 0; r < groups.size(); ++r) {
            bring.present[r] = groups[r] == -1;
            bring.group[r] = groups[r];
        }
        for (std::int32_t call = net_.later; call < net_.calls(); ++call) bring.call(call);
        const Ints stale = bring.stale;
        const bool is_whole = bring.is_whole();
        const Script made = bring.script();
        if (!stale.empty()) return py::cast(stale);
        return is_whole ? py::object(to_pairs(made)) : py::object(py::none());
    }

    // Proposals of the chain, for evenly spread slots of several sizes of memory.
    py::list chain(const Ints& block_of, const Ints& outs, std::int32_t slots,
                   std::int64_t effort) {
        if (block_of.size() != net_.us.size() || outs.empty()) {
            throw Error("GC-C002", "blocks and calls do not fit together");
        }
        std::vector<Found> all;
        {
            const py::gil_scoped_release unlocked;
            all = proposals(block_of, outs, slots, effort);
        }
        py::list list;
        for (const Found& found : all) list.append(to_tuple(found));
        return list;
    }

    // Trials that are smaller or faster than those known, first with replays of the forward alone;
    // nothing if that would take too long.
    py::object stages(std::vector<Stages::Point> known, std::int64_t effort) const {
        std::vector<Found> all;
        bool is_solved = false;
        {
            const py::gil_scoped_release unlocked;
            Polish polish(net_, writers_, large_);
            const auto solve = [&](std::int32_t past) {
                std::vector<Script> scripts;
                const bool is_done = Stages(net_, past).solve(known, effort, scripts);
                for (Script& script : scripts) {
                    all.push_back(polish.tried(std::move(script)));
                    known.emplace_back(all.back().peak, all.back().us);
                }
                return is_done;
            };
            is_solved = solve(net_.later);
            if (is_solved) solve(net_.calls());
        }
        if (!is_solved) return py::none();
        py::list list;
        for (const Found& found : all) list.append(to_tuple(found));
        return list;
    }

    py::tuple polish(const Pairs& script, std::int64_t most, int how) const {
        Found found;
        {
            Script replays = to_script(script);
            const py::gil_scoped_release unlocked;
            Polish polish(net_, writers_, large_);
            found = polish.tried(std::move(replays));
            if (how & 1) found = polish.smaller(std::move(found), most);
            if (how & 2) found = polish.faster(std::move(found), most);
            if (how & 4) found = polish.local(std::move(found), most);
        }
        return to_tuple(found);
    }

  private:
    void check_pairs() const {
        for (std::int32_t call = 0; call < net_.calls(); ++call) {
            bool is_good = net_.pairs.count(call) % 2 == 0;
            for (const std::int32_t* pair = net_.pairs.first(call);
                 is_good && pair != net_.pairs.past(call); pair += 2) {
                is_good = pair[0] < net_.writes.count(call) && pair[1] < net_.reads.count(call);
            }
            if (!is_good) throw Error("GC-C002", "pairs of operands that no call has");
        }
    }

    Script to_script(const Pairs& pairs) const {
        if (pairs.ndim() != 2 || pairs.shape(1) != 2) {
            throw Error("GC-C002", "no n x 2 table of replays");
        }
        Script script;
        for (py::ssize_t i = 0; i < pairs.shape(0); ++i) {
            const Replay replay{*pairs.data(i, 0), *pairs.data(i, 1)};
            if (replay.before <= replay.call || replay.before >= net_.calls() || replay.call < 0 ||
                (i && !(script.back() < replay))) {
                throw Error("GC-C002", "replay " + std::to_string(i) + " is out of order");
            }
            script.push_back(replay);
        }
        return script;
    }

    std::vector<Found> proposals(const Ints& block_of, const Ints& outs, std::int32_t slots,
                                 std::int64_t effort) {
        std::vector<Found> all;
        Trial trial(net_);
        trial.run({});
        const std::int64_t full = trial.peak;
        std::vector<char> large = large_;
        const std::size_t most = 8 * net_.us.size();
        for (int again = 0; again < 4; ++again) {
            const Blocks blocks(net_, block_of, large, outs);
            std::vector<std::int32_t> late;
            std::int64_t size = std::max<std::int64_t>(full - blocks.base, 1);
            for (int scale = 0; scale < 8 && size > full / 400; ++scale, size = size * 2 / 5) {
                const Chain chain(net_, writers_, blocks, size, slots);
                const auto& times = chain.times();
                // The lower part is left to the next scale.
                float before = -1;
                std::vector<std::int32_t> chosen;
                for (auto i = std::int32_t(times.size()) - 1; i > 0; --i) {
                    if (times[std::size_t(i)] == before) chosen.pop_back();
                    before = times[std::size_t(i)];
                    if (before > 1e30f) break;
                    chosen.push_back(i);
                }
                const bool is_last = times[times.size() * 2 / 5] > 1e30f;
                const std::size_t budget =
                    std::max<std::size_t>(6, std::size_t(effort) / (net_.us.size() + 1));
                const std::size_t stride = chosen.size() / budget + 1;
                for (std::size_t i = 0; i < chosen.size(); i += stride) {
                    Found found;
                    std::vector<std::int32_t> stale;
                    const bool is_whole = chain.script(chosen[i], most, found.script, stale);
                    late.insert(late.end(), stale.begin(), stale.end());
                    if (!is_whole) continue;
                    trial.run(found.script);
                    found.peak = trial.peak;
                    found.us = trial.us;
                    all.push_back(std::move(found));
                }
                if (is_last) break;
            }
            if (late.empty()) break;
            for (const std::int32_t r : late) large[std::size_t(r)] = 0;
        }
        return all;
    }

    Net net_;
    Lists writers_;
    std::vector<char> large_;
};

}  // namespace

void bind_replay(py::module_& m) {
    py::class_<BoundReplays>(m, "Replays")
        .def(py::init<std::int32_t, std::vector<double>, std::vector<std::int64_t>, Ints,
                      const std::vector<std::pair<Ints, Ints>>&, std::vector<std::int64_t>,
                      const std::vector<bool>&, const std::vector<bool>&, const std::vector<bool>&,
                      Ints, Ints, const std::vector<bool>&>(),
             py::kw_only(), py::arg("later"), py::arg("us"), py::arg("space"), py::arg("deadline"),
             py::arg("tables"), py::arg("bytes"), py::arg("droppable"), py::arg("again"),
             py::arg("given"), py::arg("origin"), py::arg("held"), py::arg("large"))
        .def("trial", &BoundReplays::trial, py::arg("script"))
        .def("script", &BoundReplays::script, py::arg("groups"), py::arg("most"))
        .def("chain", &BoundReplays::chain, py::arg("block_of"), py::arg("outs"), py::arg("slots"),
             py::arg("effort"))
        .def("stages", &BoundReplays::stages, py::arg("known"), py::arg("effort"))
        .def("polish", &BoundReplays::polish, py::arg("script"), py::arg("most"), py::arg("how"));
}
