using Caisson.Contracts;

namespace Caisson.Core.Operations;

/// <summary>What an operation on a run answers.</summary>
public abstract record OperationOutcome
{
    /// <summary>Durable; the run's owner acts on it next.</summary>
    /// <param name="Existing">It was there already: the same input was posted before.</param>
    public sealed record Accepted(bool Existing = false) : OperationOutcome;

    public sealed record NotFound : OperationOutcome;

    public sealed record Refused(Failure Failure) : OperationOutcome;
}

public abstract record BudgetOutcome
{
    public sealed record Found(BudgetView Budget) : BudgetOutcome;

    public sealed record NotFound : BudgetOutcome;

    public sealed record Refused(Failure Failure) : BudgetOutcome;
}
