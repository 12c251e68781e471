using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// The ledger's arithmetic in SQL. Invariant: on every node of a run's path and in every dimension, spent + held + new
/// hold ≤ cap when a hold is admitted; a bill above its hold is still booked, and then nothing more is admitted. Sums
/// saturate: SQLite would make a float of one that overflows. Runs on the writer's thread only.
/// </summary>
internal sealed class BudgetWrites : IDisposable
{
    // Of the dimensions that are held: the amount for a row's own, out of four parameters.
    private const string Held = "CASE dimension WHEN 1 THEN ?2 WHEN 2 THEN ?3 WHEN 7 THEN ?4 ELSE ?5 END";
    private const string Spent = "CASE dimension WHEN 1 THEN ?6 WHEN 2 THEN ?7 WHEN 7 THEN ?8 ELSE ?9 END";
    private const string Max = "9223372036854775807";

    private readonly Statement _read;
    private readonly Statement _hold;
    private readonly Statement _settle;
    private readonly Statement _count;
    private readonly Statement _exists;
    private readonly Statement _setCap;
    private readonly Statement _open;
    private readonly Statement _holdsBelow;
    private readonly Statement _insertHold;
    private readonly Statement _takeHold;
    private readonly Statement _insertWaste;

    // Rows of tenants beyond the usual two. Almost nobody has them, and every step of every run would look for one.
    private readonly HashSet<(string Node, LimitDimension Dimension)> _counted = [];

    internal BudgetWrites(SqliteConnection connection)
    {
        _read = new Statement(connection, "SELECT dimension, cap, spent, held FROM budgets WHERE node = ?1 AND dimension IN (1, 2, 7, 8) ORDER BY dimension", 1);
        _hold = new Statement(connection, $"UPDATE budgets SET held = min(held, {Max} - {Held}) + {Held} WHERE node = ?1 AND dimension IN (1, 2, 7, 8)", 5);
        _settle = new Statement(connection, $"""
            UPDATE budgets SET held = max(0, held - {Held}), spent = min(spent, {Max} - {Spent}) + {Spent}, in_doubt = min(in_doubt, {Max} - ?10 * {Spent}) + ?10 * {Spent}
            WHERE node = ?1 AND dimension IN (1, 2, 7, 8)
            """, 10);
        _count = new Statement(connection, $"""
            UPDATE budgets SET spent = CASE WHEN ?3 >= 0 THEN min(spent, {Max} - ?3) + ?3 ELSE max(0, spent + ?3) END WHERE node = ?1 AND dimension = ?2
            """, 3);
        _exists = new Statement(connection, "SELECT 1 FROM budgets WHERE node = ?1 AND dimension = ?2", 2);
        _setCap = new Statement(connection, "INSERT INTO budgets (node, dimension, cap, held) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET cap = excluded.cap", 4);
        _open = new Statement(connection, "INSERT INTO budgets (node, dimension) VALUES (?1, ?2) ON CONFLICT DO NOTHING", 2);
        _holdsBelow = new Statement(connection, """
            SELECT h.nano_usd, h.tokens, h.input_tokens, h.output_tokens FROM holds h JOIN runs r ON r.id = h.run
            WHERE instr(char(10) || r.path || char(10), char(10) || ?1 || char(10))
            """, 1);
        _insertHold = new Statement(connection, $"""
            INSERT INTO holds (run, step_key, epoch, nano_usd, tokens, input_tokens, output_tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT DO UPDATE SET nano_usd = min(nano_usd, {Max} - ?4) + ?4, tokens = min(tokens, {Max} - ?5) + ?5,
                input_tokens = min(input_tokens, {Max} - ?6) + ?6, output_tokens = min(output_tokens, {Max} - ?7) + ?7
            """, 7);
        _takeHold = new Statement(connection, "DELETE FROM holds WHERE run = ?1 AND step_key = ?2 RETURNING epoch, nano_usd, tokens, input_tokens, output_tokens", 2);
        _insertWaste = new Statement(connection, "INSERT INTO waste (run, step_key, epoch, nano_usd, tokens, cause, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", 7);

        using var counted = new Statement(connection, "SELECT node, dimension FROM budgets WHERE node >= 'tenant:' AND node < 'tenant;' AND dimension NOT IN (1, 2, 7, 8)");
        using var rows = counted.Rows();
        while (rows.Read())
            _counted.Add((rows.GetString(0), (LimitDimension)rows.GetInt32(1)));
    }

    /// <summary>The outermost refusal on the path.</summary>
    /// <param name="kept">Wanted on the run's own node as well.</param>
    internal LimitDenial? Check(string[] path, Amounts wanted, Amounts kept)
    {
        foreach (var node in path)
        {
            var here = ReferenceEquals(node, path[^1]) ? wanted.Plus(kept) : wanted;
            using var rows = _read.Rows(node);
            while (rows.Read())
            {
                var dimension = (LimitDimension)rows.GetInt32(0);
                var state = new BudgetState(rows.IsDBNull(1) ? null : rows.GetInt64(1), rows.GetInt64(2), rows.GetInt64(3), 0);
                if (Amounts.Check(node, dimension, state, here[dimension]) is { } denial)
                    return denial;
            }
        }

        return null;
    }

    internal void Apply(long row, string[] path, long epoch, BudgetChange change, DateTimeOffset at)
    {
        switch (change)
        {
            case BudgetChange.Reserve(var key, var hold):
                // A second reservation of a step adds to its first.
                var a = Amounts.Of(hold);
                _insertHold.Run(row, key, epoch, a.NanoUsd, a.Tokens, a.InputTokens, a.OutputTokens);
                foreach (var node in path)
                    _hold.Run(node, a.NanoUsd, a.Tokens, a.InputTokens, a.OutputTokens);
                break;
            case BudgetChange.Settle(var key, var usage) when Take(row, key) is { } held:
                Settle(path, held.Amounts, Amounts.Of(usage), inDoubt: false);
                break;
            case BudgetChange.Release(var key) when Take(row, key) is { } held:
                Settle(path, held.Amounts, default, inDoubt: false);
                break;
            case BudgetChange.Doubt(var key):
                Doubt(row, path, key, "unsettled", at);
                break;
            case BudgetChange.SetCap(var dimension, var cap):
                SetCap(path[^1], dimension, cap);
                break;
            case BudgetChange.Count(var dimension, var amount):
                Count(path, dimension, amount);
                break;
        }
    }

    /// <summary>Counts a hold as spent, and lists it as waste: it may have bought nothing.</summary>
    internal void Doubt(long row, string[] path, string stepKey, string cause, DateTimeOffset at)
    {
        if (Take(row, stepKey) is not { } held)
            return;
        Settle(path, held.Amounts, held.Amounts, inDoubt: true);
        _insertWaste.Run(row, stepKey, held.Epoch, held.Amounts.NanoUsd, held.Amounts.Tokens, cause, RunWrites.Ms(at));
    }

    /// <summary>Sets a node's cap, and adds the row where it is missing: with what is held below it, so that those holds end on it as on every other row.</summary>
    internal void SetCap(string node, LimitDimension dimension, long? cap)
    {
        var held = _exists.Value(node, (int)dimension) is null ? HeldBelow(node)[dimension] : 0;
        Add(node, dimension, cap, held);
    }

    /// <summary>The rows of a new run's own node, and its tenant's at the first use.</summary>
    internal void Open(NewRun run)
    {
        var (tenant, own) = (BudgetNodes.OfTenant(run.Tenant), BudgetNodes.Of(run.Id));
        _open.Run(tenant, (int)LimitDimension.NanoUsd);
        _open.Run(tenant, (int)LimitDimension.Tokens);
        Add(own, LimitDimension.NanoUsd, run.NanoUsdCap, 0);
        Add(own, LimitDimension.Tokens, run.TokensCap, 0);
        foreach (var (dimension, cap) in run.Caps)
        {
            if (dimension is not (LimitDimension.NanoUsd or LimitDimension.Tokens))
                Add(own, dimension, cap, 0);
        }
    }

    private void Add(string node, LimitDimension dimension, long? cap, long held)
    {
        _setCap.Run(node, (int)dimension, cap, held);
        if (node.StartsWith("tenant:", StringComparison.Ordinal))
            _counted.Add((node, dimension));
    }

    private void Count(string[] path, LimitDimension dimension, long amount)
    {
        // The tenant is the outermost.
        if (_counted.Contains((path[0], dimension)))
            _count.Run(path[0], (int)dimension, amount);
        for (var i = 1; i < path.Length - 1; i++)
            _count.Run(path[i], (int)dimension, amount);
    }

    private void Settle(string[] path, Amounts held, Amounts spent, bool inDoubt)
    {
        foreach (var node in path)
        {
            _settle.Run(node, held.NanoUsd, held.Tokens, held.InputTokens, held.OutputTokens,
                spent.NanoUsd, spent.Tokens, spent.InputTokens, spent.OutputTokens, inDoubt ? 1L : 0L);
        }
    }

    private Amounts HeldBelow(string node)
    {
        var sum = default(Amounts);
        using var rows = _holdsBelow.Rows(node);
        while (rows.Read())
            sum = sum.Plus(Read(rows, 0));
        return sum;
    }

    private (long Epoch, Amounts Amounts)? Take(long row, string stepKey)
    {
        using var rows = _takeHold.Rows(row, stepKey);
        return rows.Read() ? (rows.GetInt64(0), Read(rows, 1)) : null;
    }

    private static Amounts Read(in Rows rows, int column) =>
        new(rows.GetInt64(column), rows.GetInt64(column + 1), rows.GetInt64(column + 2), rows.GetInt64(column + 3));

    public void Dispose()
    {
        foreach (var statement in new[] { _read, _hold, _settle, _count, _exists, _setCap, _open, _holdsBelow, _insertHold, _takeHold, _insertWaste })
            statement.Dispose();
    }
}
