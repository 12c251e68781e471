using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using CsCheck;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task A_hold_is_admitted_up_to_the_cap_and_not_one_billionth_above()
    {
        var run = await CreateAndClaimAsync(usd: 100);

        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(60, 1_000))] });
        var before = await EverythingAsync(run.Id);
        var over = await Store.AppendAsync(Unit(run, Step("k")) with { Budget = [new BudgetChange.Reserve("b", new Hold(41, 0))] }, default);

        Assert.Equal(new LimitDenial($"run:{run.Id}", LimitDimension.NanoUsd, 100, 0, 60, 41), Assert.IsType<AppendOutcome.Denied>(over).Denial);
        Assert.Equal(before, await EverythingAsync(run.Id));
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("b", new Hold(40, 0))] });
        Assert.Equal((new BudgetState(100, 0, 100, 0), new BudgetState(null, 0, 1_000, 0)), (run.Money, run.Tokens));
    }

    [Fact]
    public async Task Each_dimension_denies_for_itself()
    {
        var run = await CreateAndClaimAsync(usd: 100, tokens: 10);

        var tokens = await Store.AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(1, 11))] }, default);
        var huge = await Store.AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(long.MaxValue, 1))] }, default);

        Assert.Equal(LimitDimension.Tokens, Assert.IsType<AppendOutcome.Denied>(tokens).Denial.Dimension);
        Assert.Equal(LimitDimension.NanoUsd, Assert.IsType<AppendOutcome.Denied>(huge).Denial.Dimension);
        Assert.Equal(new BudgetState(100, 0, 0, 0), (await FindAsync(run.Id)).Money);
    }

    [Fact]
    public async Task Holds_of_one_unit_count_together()
    {
        var run = await CreateAndClaimAsync(usd: 100);

        var outcome = await Store.AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(60, 0)), new BudgetChange.Reserve("b", new Hold(60, 0))] }, default);

        Assert.IsType<AppendOutcome.Denied>(outcome);
        Assert.Equal(new BudgetState(100, 0, 0, 0), (await FindAsync(run.Id)).Money);
    }

    [Fact]
    public async Task A_bill_above_its_hold_is_booked_and_then_nothing_more_is_admitted()
    {
        var run = await CreateAndClaimAsync(usd: 100, tokens: 100);
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(50, 50))] });

        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Settle("a", new Usage(150, 70, 20))] });

        Assert.Equal((new BudgetState(100, 150, 0, 0), new BudgetState(100, 90, 0, 0)), (run.Money, run.Tokens));
        Assert.IsType<AppendOutcome.Denied>(await Store.AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("b", new Hold(1, 0))] }, default));
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.SetCap(LimitDimension.NanoUsd, 151)] });
        await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("b", new Hold(1, 0))] });
    }

    [Fact]
    public async Task A_lowered_cap_stops_admissions_and_nothing_else()
    {
        var run = await CreateAndClaimAsync(usd: 100);
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(80, 0))] });
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.SetCap(LimitDimension.NanoUsd, 10)] });

        Assert.IsType<AppendOutcome.Denied>(await Store.AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("b", new Hold(1, 0))] }, default));
        run = await AppendAsync(Unit(run, Step("a")) with { Budget = [new BudgetChange.Settle("a", new Usage(70, 0, 0))] });

        Assert.Equal(new BudgetState(10, 70, 0, 0), run.Money);
    }

    [Fact]
    public async Task A_claim_makes_lost_holds_spent_in_doubt_and_lists_them()
    {
        var run = await CreateAndClaimAsync(usd: 100, tokens: 100);
        run = await AppendAsync(Unit(run) with
        {
            Budget = [new BudgetChange.Reserve("kept", new Hold(5, 6)), new BudgetChange.Reserve("lost", new Hold(7, 8)), new BudgetChange.Reserve("freed", new Hold(9, 10))],
        });
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Settle("kept", new Usage(4, 3, 2)), new BudgetChange.Release("freed")] });
        Assert.Equal((new BudgetState(100, 4, 7, 0), new BudgetState(100, 5, 8, 0)), (run.Money, run.Tokens));

        var next = await RegisterAsync();
        var claimed = await ClaimAsync(run.Id, next);

        Assert.Equal((new BudgetState(100, 11, 0, 7), new BudgetState(100, 13, 0, 8)), (claimed.Money, claimed.Tokens));
        Assert.Equal([new WasteRow(run.Id, "lost", 1, 7, 8, "owner_lost", Clock.GetUtcNow())], await WasteAsync(run.Id));
        var body = System.Text.Encoding.UTF8.GetString((await JournalAsync(run.Id))[^1].Body.Span);
        Assert.Contains("\"lost\"", body, StringComparison.Ordinal);
        Assert.DoesNotContain("\"kept\"", body, StringComparison.Ordinal);

        // A settlement of the former epoch that comes after all finds no hold and books nothing twice.
        claimed = await AppendAsync(Unit(claimed) with { Budget = [new BudgetChange.Settle("lost", new Usage(7, 8, 0)), new BudgetChange.Doubt("lost"), new BudgetChange.Release("lost")] });
        Assert.Equal((11L, 0L, 7L), (claimed.Money.Spent, claimed.Money.Held, claimed.Money.InDoubt));
        Assert.Single(await WasteAsync(run.Id));
    }

    [Fact]
    public async Task A_batch_of_good_fenced_denied_and_repeated_units_gives_each_its_own_outcome()
    {
        var work = new List<(string Kind, Func<Task<object>> Send)>();
        var good = new List<RunId>();
        var untouched = new List<(RunId Run, string Before)>();
        for (var i = 0; i < 25; i++)
        {
            var run = await CreateAndClaimAsync(usd: 10);
            var repeated = Unit(run, Step("k")) with { Budget = [new BudgetChange.Reserve("h", new Hold(10, 0))] };
            good.Add(run.Id);
            work.Add(("Committed", async () => await Store.AppendAsync(repeated, default)));
            work.Add(("Committed", async () => await Store.AppendAsync(repeated, default)));

            run = await CreateAndClaimAsync(usd: 10);
            untouched.Add((run.Id, await EverythingAsync(run.Id)));
            var stale = Unit(run, Step("k")) with { Fence = new Fence(_node, 7) };
            work.Add(("Fenced", async () => await Store.AppendAsync(stale, default)));
            var over = Unit(run, Step("k")) with { Budget = [new BudgetChange.Reserve("h", new Hold(11, 0))] };
            work.Add(("Denied", async () => await Store.AppendAsync(over, default)));

            // The first change fits and the second does not: nothing of it may stay.
            var half = Unit(run, Step("k")) with { Budget = [new BudgetChange.SetCap(LimitDimension.Tokens, 5), new BudgetChange.Reserve("h", new Hold(11, 0))] };
            work.Add(("Denied", async () => await Store.AppendAsync(half, default)));

            // Over the budget of a node above it, with a child and an input for another that must not come to be.
            var parent = await CreateAndClaimAsync(usd: 5);
            var child = await SpawnAndClaimAsync(parent, usd: 10);
            parent = await FindAsync(parent.Id);
            untouched.AddRange([(parent.Id, await EverythingAsync(parent.Id)), (child.Id, await EverythingAsync(child.Id))]);
            var above = Unit(child, Step("k")) with { Budget = [new BudgetChange.Reserve("h", new Hold(6, 0))], Children = [ChildOf(child)], Posts = [InputFor(parent.Id, "x")] };
            work.Add(("Denied", async () => await Store.AppendAsync(above, default)));
            var unknown = new RunId(Ids.NextRun());
            work.Add(("NotFound", async () => await PostAsync(unknown, "x")));
        }

        var order = Enumerable.Range(0, work.Count).ToArray();
        new Random(7).Shuffle(order);
        var runs = (await Reader.ListAsync(new RunFilter(null, null, null, 1_000), default)).Count;
        var outcomes = await Task.WhenAll(order.Select(async i => (work[i].Kind, Outcome: (await work[i].Send()).GetType().Name)));

        Assert.All(outcomes, o => Assert.Equal(o.Kind, o.Outcome));
        foreach (var run in good)
        {
            var row = await FindAsync(run);
            Assert.Equal((3L, 10L), (row.LastSeq, row.Money.Held));
        }

        foreach (var (run, before) in untouched)
            Assert.Equal(before, await EverythingAsync(run));
        Assert.Equal(runs, (await Reader.ListAsync(new RunFilter(null, null, null, 1_000), default)).Count);
    }

    private abstract record Move
    {
        internal sealed record Reserve(int Step, int Nano, int Tokens) : Move;

        internal sealed record Settle(int Step, int Nano, int Tokens) : Move;

        internal sealed record Release(int Step) : Move;

        internal sealed record Doubt(int Step) : Move;

        internal sealed record SetCap(int Nano) : Move;

        internal sealed record Crash : Move;
    }

    private static readonly Gen<Move> Moves = Gen.Select(Gen.Int[0, 11], Gen.Int[0, 3], Gen.Int[0, 50], Gen.Int[0, 50]).Select(Move (kind, step, a, b) => kind switch
    {
        <= 4 => new Move.Reserve(step, a, b),
        <= 6 => new Move.Settle(step, a, b),
        7 => new Move.Release(step),
        8 => new Move.Doubt(step),
        9 or 10 => new Move.SetCap(a * 4),
        _ => new Move.Crash(),
    });

    /// <summary>The ledger beside a model that does the same sums: they agree after every change, and no admission passes the cap.</summary>
    [Fact]
    public async Task The_ledger_is_right_after_any_sequence_of_changes()
    {
        await Moves.Array[5, 25].Array[24].SampleAsync(sequences => Task.WhenAll(sequences.Select(FollowAsync)), iter: 6, threads: 1);
    }

    private async Task FollowAsync(Move[] moves)
    {
        var run = await CreateAndClaimAsync(usd: 100, tokens: 120);
        var holds = new Dictionary<int, Hold>();
        var (money, tokens) = (new BudgetState(100, 0, 0, 0), new BudgetState(120, 0, 0, 0));
        var wasted = 0;
        foreach (var move in moves)
        {
            BudgetChange? change = null;
            switch (move)
            {
                case Move.Reserve(var step, var nano, var count) when !holds.ContainsKey(step):
                    var fits = money.Spent + money.Held + nano <= money.Cap && tokens.Spent + tokens.Held + count <= tokens.Cap;
                    var outcome = await Store.AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve(Key(step), new Hold(nano, count))] }, default);
                    Assert.Equal(fits ? typeof(AppendOutcome.Committed) : typeof(AppendOutcome.Denied), outcome.GetType());
                    if (fits)
                    {
                        holds[step] = new Hold(nano, count);
                        (money, tokens) = (money with { Held = money.Held + nano }, tokens with { Held = tokens.Held + count });
                    }

                    break;
                case Move.Settle(var step, var nano, var count):
                    change = new BudgetChange.Settle(Key(step), new Usage(nano, count, 0));
                    if (holds.Remove(step, out var settled))
                        (money, tokens) = (money with { Held = money.Held - settled.NanoUsd, Spent = money.Spent + nano }, tokens with { Held = tokens.Held - settled.Tokens, Spent = tokens.Spent + count });
                    break;
                case Move.Release(var step):
                    change = new BudgetChange.Release(Key(step));
                    if (holds.Remove(step, out var released))
                        (money, tokens) = (money with { Held = money.Held - released.NanoUsd }, tokens with { Held = tokens.Held - released.Tokens });
                    break;
                case Move.Doubt(var step):
                    change = new BudgetChange.Doubt(Key(step));
                    if (holds.Remove(step, out var doubtful))
                        Lose(doubtful);
                    break;
                case Move.SetCap(var nano):
                    change = new BudgetChange.SetCap(LimitDimension.NanoUsd, nano);
                    money = money with { Cap = nano };
                    break;
                case Move.Crash:
                    run = await ClaimAsync(run.Id);
                    foreach (var lost in holds.Values)
                        Lose(lost);
                    holds.Clear();
                    break;
            }

            if (change is not null)
                Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(Unit(run) with { Budget = [change] }, default));
            var row = await FindAsync(run.Id);
            Assert.Equal((money, tokens), (row.Money, row.Tokens));
            Assert.Equal((holds.Values.Sum(h => h.NanoUsd), holds.Values.Sum(h => h.Tokens)), (row.Money.Held, row.Tokens.Held));
        }

        Assert.Equal(wasted, (await WasteAsync(run.Id)).Count);
        Assert.Equal((money.InDoubt, tokens.InDoubt), ((await WasteAsync(run.Id)).Sum(w => w.NanoUsd), (await WasteAsync(run.Id)).Sum(w => w.Tokens)));

        static string Key(int step) => step.ToString(CultureInfo.InvariantCulture);

        void Lose(Hold hold)
        {
            wasted++;
            money = money with { Held = money.Held - hold.NanoUsd, Spent = money.Spent + hold.NanoUsd, InDoubt = money.InDoubt + hold.NanoUsd };
            tokens = tokens with { Held = tokens.Held - hold.Tokens, Spent = tokens.Spent + hold.Tokens, InDoubt = tokens.InDoubt + hold.Tokens };
        }
    }
}
