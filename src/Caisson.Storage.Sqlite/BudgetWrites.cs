using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// The ledger's arithmetic in SQL. Invariant: on every node and dimension, spent + held + new hold ≤ cap when a hold is
/// admitted; a bill above its hold is still booked, and then nothing more is admitted.
/// </summary>
internal sealed class BudgetWrites(SqliteConnection connection) : IDisposable
{
    private readonly Statement _read = new(connection, "SELECT cap, spent, held FROM budgets WHERE node = $1 AND dimension = $2", 2);
    private readonly Statement _hold = new(connection, "UPDATE budgets SET held = held + $3 WHERE node = $1 AND dimension = $2", 3);
    private readonly Statement _settle = new(connection, "UPDATE budgets SET held = held - $3, spent = spent + $4, in_doubt = in_doubt + $5 WHERE node = $1 AND dimension = $2", 5);
    private readonly Statement _setCap = new(connection, "UPDATE budgets SET cap = $3 WHERE node = $1 AND dimension = $2", 3);
    private readonly Statement _insertHold = new(connection, "INSERT INTO holds (run, step_key, epoch, nano_usd, tokens) VALUES ($1, $2, $3, $4, $5)", 5);
    private readonly Statement _takeHold = new(connection, "DELETE FROM holds WHERE run = $1 AND step_key = $2 RETURNING epoch, nano_usd, tokens", 2);
    private readonly Statement _insertWaste = new(connection, "INSERT INTO waste (run, step_key, epoch, nano_usd, tokens, cause, at) VALUES ($1, $2, $3, $4, $5, $6, $7)", 7);

    internal LimitDenial? Check(RunId run, Hold hold)
    {
        var node = BudgetNodes.Of(run);
        return Check(node, LimitDimension.NanoUsd, hold.NanoUsd) ?? Check(node, LimitDimension.Tokens, hold.Tokens);
    }

    internal void Apply(long row, RunId run, long epoch, BudgetChange change, DateTimeOffset at)
    {
        var node = BudgetNodes.Of(run);
        switch (change)
        {
            case BudgetChange.Reserve reserve:
                _insertHold.Run(row, reserve.StepKey, epoch, reserve.Hold.NanoUsd, reserve.Hold.Tokens);
                _hold.Run(node, (int)LimitDimension.NanoUsd, reserve.Hold.NanoUsd);
                _hold.Run(node, (int)LimitDimension.Tokens, reserve.Hold.Tokens);
                break;
            case BudgetChange.Settle settle when Take(row, settle.StepKey) is { } held:
                _settle.Run(node, (int)LimitDimension.NanoUsd, held.Hold.NanoUsd, settle.Usage.NanoUsd, 0L);
                _settle.Run(node, (int)LimitDimension.Tokens, held.Hold.Tokens, settle.Usage.InputTokens + settle.Usage.OutputTokens, 0L);
                break;
            case BudgetChange.Release release when Take(row, release.StepKey) is { } held:
                _settle.Run(node, (int)LimitDimension.NanoUsd, held.Hold.NanoUsd, 0L, 0L);
                _settle.Run(node, (int)LimitDimension.Tokens, held.Hold.Tokens, 0L, 0L);
                break;
            case BudgetChange.Doubt doubt:
                Doubt(row, run, doubt.StepKey, "unsettled", at);
                break;
            case BudgetChange.SetCap cap:
                _setCap.Run(node, (int)cap.Dimension, cap.Cap);
                break;
        }
    }

    /// <summary>Counts a hold as spent, and lists it as waste: it may have bought nothing.</summary>
    internal void Doubt(long row, RunId run, string stepKey, string cause, DateTimeOffset at)
    {
        if (Take(row, stepKey) is not { } held)
            return;
        var node = BudgetNodes.Of(run);
        _settle.Run(node, (int)LimitDimension.NanoUsd, held.Hold.NanoUsd, held.Hold.NanoUsd, held.Hold.NanoUsd);
        _settle.Run(node, (int)LimitDimension.Tokens, held.Hold.Tokens, held.Hold.Tokens, held.Hold.Tokens);
        _insertWaste.Run(row, stepKey, held.Epoch, held.Hold.NanoUsd, held.Hold.Tokens, cause, RunWrites.Ms(at));
    }

    private LimitDenial? Check(string node, LimitDimension dimension, long wanted)
    {
        using var rows = _read.Rows(node, (int)dimension);
        if (!rows.Read() || rows.IsDBNull(0))
            return null;
        var (cap, spent, held) = (rows.GetInt64(0), rows.GetInt64(1), rows.GetInt64(2));
        return (Int128)spent + held + wanted <= cap ? null : new LimitDenial(node, dimension, cap, spent, held, wanted);
    }

    private (long Epoch, Hold Hold)? Take(long row, string stepKey)
    {
        using var rows = _takeHold.Rows(row, stepKey);
        return rows.Read() ? (rows.GetInt64(0), new Hold(rows.GetInt64(1), rows.GetInt64(2))) : null;
    }

    public void Dispose()
    {
        foreach (var statement in new[] { _read, _hold, _settle, _setCap, _insertHold, _takeHold, _insertWaste })
            statement.Dispose();
    }
}
