using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using CsCheck;

namespace Caisson.Core.Tests.Budgets;

public sealed class TreeCountsTests
{
    private const LimitDimension Steps = LimitDimension.Steps;

    private static readonly string[] Root = ["tenant:t", "run:root"];
    private static readonly string[] Child = [.. Root, "run:child"];
    private static readonly string[] Sibling = [.. Root, "run:sibling"];

    [Fact]
    public void A_childs_step_counts_on_every_node_above_it()
    {
        var tree = Loaded(("run:root", Steps, 3), ("run:child", Steps, 9));

        Assert.Null(tree.TryBegin(Child, Steps));
        Assert.Null(tree.TryBegin(Sibling, Steps));
        Assert.Null(tree.TryBegin(Root, Steps));

        Assert.Equal(new LimitDenial("run:root", Steps, 3, 0, 3, 1), tree.TryBegin(Child, Steps));
    }

    [Fact]
    public void Of_several_full_nodes_the_highest_is_named()
    {
        var tree = Loaded(("tenant:t", Steps, 0), ("run:root", Steps, 0), ("run:child", Steps, 0));

        Assert.Equal("tenant:t", tree.TryBegin(Child, Steps)?.Node);
    }

    [Fact]
    public void What_is_denied_counts_nowhere()
    {
        var tree = Loaded(("tenant:t", Steps, 5), ("run:child", Steps, 0));

        for (var i = 0; i < 20; i++)
            Assert.Equal("run:child", tree.TryBegin(Child, Steps)?.Node);

        for (var i = 0; i < 5; i++)
            Assert.Null(tree.TryBegin(Sibling, Steps));
        Assert.Equal("tenant:t", tree.TryBegin(Sibling, Steps)?.Node);
    }

    [Fact]
    public void A_model_call_that_may_not_be_made_is_no_step_either()
    {
        var tree = Loaded(("run:root", Steps, 2), ("run:root", LimitDimension.ModelCalls, 1));
        Assert.Null(tree.TryBegin(Root, CountLimits.CountsOf(StepKind.Model)));

        Assert.Equal(LimitDimension.ModelCalls, tree.TryBegin(Root, CountLimits.CountsOf(StepKind.Model))?.Dimension);

        Assert.Null(tree.TryBegin(Root, CountLimits.CountsOf(StepKind.Tool)));
        Assert.Equal(new LimitDenial("run:root", Steps, 2, 0, 2, 1), tree.TryBegin(Root, CountLimits.CountsOf(StepKind.Tool)));
    }

    [Fact]
    public void What_is_completed_stays_counted_and_what_is_abandoned_does_not()
    {
        var tree = Loaded(("run:root", Steps, 2));
        Assert.Null(tree.TryBegin(Child, Steps));
        Assert.Null(tree.TryBegin(Child, Steps));

        tree.Complete(Child, Steps);
        tree.Abandon(Child, Steps);

        Assert.Null(tree.TryBegin(Child, Steps));
        Assert.Equal(new LimitDenial("run:root", Steps, 2, 1, 1, 1), tree.TryBegin(Child, Steps));
    }

    [Fact]
    public void Nothing_ends_that_did_not_begin()
    {
        var tree = Loaded();
        Assert.Null(tree.TryBegin(Root, Steps));
        tree.Complete(Root, Steps);

        Assert.Throws<InvalidOperationException>(() => tree.Complete(Root, Steps));
        Assert.Throws<InvalidOperationException>(() => tree.Abandon(Root, Steps));
        Assert.Throws<InvalidOperationException>(() => tree.Abandon(Root, LimitDimension.ToolCalls));
    }

    /// <summary>Taken as a node without caps, it would let everything pass.</summary>
    [Fact]
    public void Nothing_begins_on_a_node_that_is_not_loaded()
    {
        var tree = new TreeCounts();
        tree.Load("tenant:t", []);

        Assert.Equal(["run:root", "run:child"], tree.Missing(Child));
        Assert.Throws<InvalidOperationException>(() => tree.TryBegin(Child, Steps));
        Assert.Throws<InvalidOperationException>(() => tree.CheckDepth(Child, 0));
    }

    [Fact]
    public void A_node_starts_from_what_the_store_has_and_from_what_its_own_run_did()
    {
        var tree = new TreeCounts();
        tree.Load("tenant:t", []);
        tree.Load("run:root", [new BudgetRow("run:root", Steps, new BudgetState(10, 6, 0, 0))], new Dictionary<LimitDimension, long> { [Steps] = 3 });

        Assert.Empty(tree.Missing(Root));
        Assert.Null(tree.TryBegin(Root, Steps));
        Assert.Equal(new LimitDenial("run:root", Steps, 10, 9, 1, 1), tree.TryBegin(Root, Steps));
    }

    [Fact]
    public void Rows_that_were_read_before_do_not_set_a_known_node_back()
    {
        var tree = Loaded(("run:root", Steps, 1));
        Assert.Null(tree.TryBegin(Root, Steps));

        tree.Load("run:root", [new BudgetRow("run:root", Steps, new BudgetState(1, 0, 0, 0))]);

        Assert.NotNull(tree.TryBegin(Root, Steps));
    }

    [Fact]
    public void A_cap_may_be_set_lowered_and_lifted_while_work_is_under_way()
    {
        var tree = Loaded();
        Assert.Null(tree.TryBegin(Child, Steps));
        Assert.Null(tree.TryBegin(Child, Steps));

        tree.SetCap("run:root", Steps, 1);
        Assert.Equal(new LimitDenial("run:root", Steps, 1, 0, 2, 1), tree.TryBegin(Child, Steps));
        tree.Complete(Child, Steps);
        Assert.NotNull(tree.TryBegin(Child, Steps));
        tree.SetCap("run:root", Steps, null);
        Assert.Null(tree.TryBegin(Child, Steps));
        tree.SetCap("run:unknown", Steps, 0);
        Assert.Equal(["run:unknown"], tree.Missing(["run:unknown"]));
    }

    [Fact]
    public void What_is_set_above_the_runs_counts_at_once_from_what_the_store_has_counted()
    {
        var tree = Loaded();
        tree.Load("tenant:t", []);
        Assert.Null(tree.TryBegin(Root, Steps));
        tree.Complete(Root, Steps);
        Assert.False(tree.IsStored("tenant:t", Steps));

        // Nobody counted in the store before there was a row.
        tree.Renew("tenant:t", [new BudgetRow("tenant:t", Steps, new BudgetState(2, 0, 0, 0))]);
        Assert.True(tree.IsStored("tenant:t", Steps));
        Assert.Null(tree.TryBegin(Root, Steps));
        Assert.Null(tree.TryBegin(Root, Steps));
        Assert.Equal(new LimitDenial("tenant:t", Steps, 2, 0, 2, 1), tree.TryBegin(Root, Steps));
        tree.Complete(Root, Steps);

        // Its counts are newer from then on.
        tree.Renew("tenant:t", [new BudgetRow("tenant:t", Steps, new BudgetState(2, 0, 0, 0))]);
        Assert.Equal(new LimitDenial("tenant:t", Steps, 2, 1, 1, 1), tree.TryBegin(Root, Steps));
        tree.Renew("tenant:t", [new BudgetRow("tenant:t", Steps, new BudgetState(3, 1, 0, 0))]);
        Assert.Null(tree.TryBegin(Root, Steps));
        tree.Renew("tenant:unknown", [new BudgetRow("tenant:unknown", Steps, new BudgetState(3, 1, 0, 0))]);
        Assert.Equal(["tenant:unknown"], tree.Missing(["tenant:unknown"]));
        Assert.Equal(["tenant:t"], tree.AboveRuns);
    }

    /// <summary>Were it counted above, a child could wait for its own end.</summary>
    [Fact]
    public void Children_alive_count_on_their_own_parent_only()
    {
        var tree = Loaded(("run:root", LimitDimension.ChildBreadth, 1));

        Assert.Null(tree.TryBegin(Root, LimitDimension.ChildBreadth));
        Assert.Null(tree.TryBegin(Child, LimitDimension.ChildBreadth));
        var denial = tree.TryBegin(Root, LimitDimension.ChildBreadth);
        Assert.True(denial!.FreesItself());
        tree.Abandon(Root, LimitDimension.ChildBreadth);
        Assert.Null(tree.TryBegin(Root, LimitDimension.ChildBreadth));
    }

    [Fact]
    public void Children_alive_at_the_load_end_like_others()
    {
        var tree = new TreeCounts();
        tree.Load("run:p", [new BudgetRow("run:p", LimitDimension.ChildBreadth, new BudgetState(2, 0, 0, 0))], new Dictionary<LimitDimension, long> { [LimitDimension.ChildBreadth] = 2 });

        Assert.NotNull(tree.TryBegin(["run:p"], LimitDimension.ChildBreadth));
        tree.Abandon(["run:p"], LimitDimension.ChildBreadth);
        Assert.Null(tree.TryBegin(["run:p"], LimitDimension.ChildBreadth));
    }

    [Fact]
    public void All_runs_below_a_node_count_as_its_children()
    {
        var tree = Loaded(("run:root", LimitDimension.Children, 2));
        Assert.Null(tree.TryBegin(Root, LimitDimension.Children));
        Assert.Null(tree.TryBegin(Child, LimitDimension.Children));
        tree.Complete(Child, LimitDimension.Children);

        Assert.Equal(new LimitDenial("run:root", LimitDimension.Children, 2, 1, 1, 1), tree.TryBegin(Sibling, LimitDimension.Children));
    }

    [Fact]
    public void The_lowest_depth_that_any_node_above_allows_holds()
    {
        var tree = Loaded(("run:root", LimitDimension.ChildDepth, 2), ("run:child", LimitDimension.ChildDepth, 8));

        Assert.Null(tree.CheckDepth(Child, 1));
        Assert.Equal(new LimitDenial("run:root", LimitDimension.ChildDepth, 2, 2, 0, 1), tree.CheckDepth(Child, 2));
    }

    [Fact]
    public void A_node_is_forgotten_when_nobody_is_left_at_or_below_it()
    {
        var tree = Loaded();
        var root = Child[..^1];
        Assert.True(tree.TryEnter(Child));
        Assert.True(tree.TryEnter(root));

        tree.Leave(root);
        Assert.Empty(tree.Missing(Child));
        Assert.Null(tree.TryBegin(Child, Steps));
        tree.Complete(Child, Steps);

        tree.Leave(Child);
        Assert.Equal(Child, tree.Missing(Child));
        Assert.False(tree.TryEnter(Child));
    }

    private enum Act { Begin, Complete, Abandon, SetCap }

    /// <summary>Against counters that anybody can follow: it denies exactly when a node of the path is full, and names a full one.</summary>
    [Fact]
    public void It_counts_as_a_ledger_does()
    {
        var act = Gen.Select(Gen.Enum<Act>(), Gen.Int[0, 3], Gen.Int[0, 2], Gen.Int[0, 4]);
        Gen.Select(Gen.Int[0, 4].Array[8], act.Array[0, 80]).Sample((caps, acts) =>
        {
            string[][] paths = [Root, Child, Sibling, [.. Child, "run:grandchild"]];
            LimitDimension[][] kinds = [[Steps], [Steps, LimitDimension.ModelCalls], [Steps, LimitDimension.ToolCalls]];
            string[] nodes = [.. paths.SelectMany(p => p).Distinct()];
            var tree = new TreeCounts();
            var model = new Dictionary<(string, LimitDimension), (long? Cap, int Spent, int InFlight)>();
            foreach (var (i, node) in nodes.Index())
            {
                var rows = new[] { Steps, LimitDimension.ModelCalls, LimitDimension.ToolCalls }.Select((d, k) => new BudgetRow(node, d, new BudgetState(caps[(i + k) % 8] is 0 ? null : caps[(i + k) % 8], 0, 0, 0))).ToList();
                tree.Load(node, rows);
                foreach (var row in rows)
                    model[(node, row.Dimension)] = (row.State.Cap, 0, 0);
            }

            var begun = new List<(string[] Path, LimitDimension[] Kind)>();
            foreach (var (what, path, kind, number) in acts)
            {
                var touched = paths[path].SelectMany(n => kinds[kind].Select(d => (n, d))).ToList();
                switch (what)
                {
                    case Act.Begin:
                        var denial = tree.TryBegin(paths[path], kinds[kind]);
                        var full = touched.Where(t => model[t] is { Cap: { } cap } c && c.Spent + c.InFlight >= cap).ToList();
                        if (denial is null != (full.Count == 0))
                            return false;
                        if (denial is not null)
                        {
                            var seen = model[(denial.Node, denial.Dimension)];
                            if (!full.Contains((denial.Node, denial.Dimension)) || (denial.Cap, denial.Spent, denial.Held, denial.Wanted) != (seen.Cap!.Value, seen.Spent, seen.InFlight, 1))
                                return false;
                            break;
                        }

                        begun.Add((paths[path], kinds[kind]));
                        foreach (var t in touched)
                            model[t] = model[t] with { InFlight = model[t].InFlight + 1 };
                        break;
                    case Act.SetCap:
                        var node = nodes[number % nodes.Length];
                        tree.SetCap(node, Steps, number == 0 ? null : number);
                        model[(node, Steps)] = model[(node, Steps)] with { Cap = number == 0 ? null : number };
                        break;
                    case var end when begun.Count > 0:
                        var (p, k) = begun[number % begun.Count];
                        begun.RemoveAt(number % begun.Count);
                        if (end == Act.Complete)
                            tree.Complete(p, k);
                        else
                            tree.Abandon(p, k);
                        foreach (var t in p.SelectMany(n => k.Select(d => (n, d))))
                            model[t] = model[t] with { InFlight = model[t].InFlight - 1, Spent = model[t].Spent + (end == Act.Complete ? 1 : 0) };
                        break;
                }
            }

            return true;
        }, iter: 3_000);
    }

    /// <summary>
    /// Several threads begin, complete and abandon on one tree. A count kept outside, raised after an admission and
    /// lowered before an end, is never above the tree's own, so if it passes a cap the tree did.
    /// </summary>
    [Fact]
    public void No_cap_is_passed_however_many_begin_at_once()
    {
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[1, 60], Gen.UInt).Sample((child, sibling, root, seed) =>
        {
            var tree = Loaded(("run:child", Steps, child), ("run:sibling", Steps, sibling), ("run:root", Steps, root));
            var caps = new Dictionary<string, int> { ["tenant:t"] = int.MaxValue, ["run:root"] = root, ["run:child"] = child, ["run:sibling"] = sibling };
            var counts = caps.Keys.ToDictionary(node => node, _ => new int[1]);
            var passed = 0;
            using var together = new Barrier(4);
            var threads = Enumerable.Range(0, 4).Select(t => new Thread(() =>
            {
                try
                {
                    together.SignalAndWait();
                    Work(new Dice(seed + (uint)t));
                }
                catch (Exception problem) when (problem is not OutOfMemoryException)
                {
                    // Left to itself it would end the whole process, and no test would be named.
                    Interlocked.Exchange(ref passed, 1);
                }
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());

            // Nothing is under way any more, so what is left is what was completed, on each node.
            var room = tree.TryBegin(Child, Steps);
            return passed == 0 && (room is null || (room.Held == 0 && room.Spent == counts[room.Node][0]));

            void Work(Dice dice)
            {
                for (var i = 0; i < 300; i++)
                {
                    var path = dice.Next(2) == 0 ? Child : Sibling;
                    if (tree.TryBegin(path, Steps) is not null)
                        continue;
                    foreach (var node in path)
                    {
                        if (Interlocked.Increment(ref counts[node][0]) > caps[node])
                            Interlocked.Exchange(ref passed, 1);
                    }

                    if (dice.Next(4) == 0)
                    {
                        tree.Complete(path, Steps);
                        continue;
                    }

                    foreach (var node in path)
                        Interlocked.Decrement(ref counts[node][0]);
                    tree.Abandon(path, Steps);
                }
            }
        }, iter: 60, threads: 1);
    }

    private static TreeCounts Loaded(params (string Node, LimitDimension Dimension, long Cap)[] caps)
    {
        var tree = new TreeCounts();
        foreach (var node in Child.Concat(Sibling).Distinct())
            tree.Load(node, caps.Where(cap => cap.Node == node).Select(cap => new BudgetRow(node, cap.Dimension, new BudgetState(cap.Cap, 0, 0, 0))));
        return tree;
    }

    /// <summary>Each thread its own, from one printed seed.</summary>
    private sealed class Dice(uint seed)
    {
        private uint _state = seed | 1;

        internal uint Next(uint below)
        {
            _state ^= _state << 13;
            _state ^= _state >> 17;
            _state ^= _state << 5;
            return _state % below;
        }
    }
}
