namespace Caisson.Core.Turns;

/// <summary>What the agent asked for and has no answer to, by the places where the answers arrive: one place may have several, in the order of asking.</summary>
internal sealed class OpenOperations
{
    private readonly Dictionary<string, List<Operation>> _bySlot = new(StringComparer.Ordinal);

    internal bool IsEmpty => _bySlot.Count == 0;

    internal bool Contains(string slot) => _bySlot.ContainsKey(slot);

    /// <summary>Who asked first for what arrives at this place.</summary>
    internal Operation? First(string slot) => _bySlot.TryGetValue(slot, out var operations) ? operations[0] : null;

    internal void Add(Operation operation)
    {
        Add(operation.Slot, operation);
        if (operation.TimeoutSlot is { } timeout)
            Add(timeout, operation);
    }

    internal void Remove(Operation operation)
    {
        Remove(operation.Slot, operation);
        if (operation.TimeoutSlot is { } timeout)
            Remove(timeout, operation);
    }

    /// <summary>What the run waits for when nothing of it executes; <c>null</c> where it waits for nothing that a run can.</summary>
    internal Waiting? Waits()
    {
        Operation? first = null;
        DateTimeOffset? due = null;
        foreach (var operation in _bySlot.Values.SelectMany(o => o))
        {
            if (operation.Waits is null)
                continue;
            if (first is null || operation.Waits > first.Waits)
                first = operation;
            if (operation.DueAt is { } at && (due is null || at < due))
                due = at;
        }

        return first is null ? null : new Waiting(first.Waits!.Value, due, first.Text);
    }

    /// <summary>Those that the clock answers by now, the earliest first.</summary>
    internal List<Operation> DueAt(DateTimeOffset now)
    {
        List<Operation>? due = null;
        foreach (var (_, operations) in _bySlot)
        {
            foreach (var operation in operations)
            {
                if (operation.DueAt <= now && operation.AtDue is not null && due?.Contains(operation) != true)
                    (due ??= []).Add(operation);
            }
        }

        return due is null ? [] : [.. due.OrderBy(o => o.DueAt)];
    }

    private void Add(string slot, Operation operation)
    {
        if (_bySlot.TryGetValue(slot, out var others))
            others.Add(operation);
        else
            _bySlot[slot] = [operation];
    }

    private void Remove(string slot, Operation operation)
    {
        var others = _bySlot[slot];
        others.Remove(operation);
        if (others.Count == 0)
            _bySlot.Remove(slot);
    }
}
