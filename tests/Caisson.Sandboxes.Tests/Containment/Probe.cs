namespace Caisson.Sandboxes.Tests.Containment;

/// <summary>One thing that a hostile command tries.</summary>
/// <param name="Name">A row of docs/security/containment.md.</param>
internal abstract record Probe(string Group, string Name)
{
    /// <summary>What each kind of box is expected to answer.</summary>
    public abstract string Expected(string kind);

    /// <summary>What shows that the probe works where nothing stops it.</summary>
    public abstract string Control { get; }
}

/// <summary>
/// A probe that is a script of runner.py. Its control is a script too: on the host, as root, the attack itself where
/// nothing else is said, or in the box by the same means towards something that is allowed.
/// </summary>
internal sealed record Attack(string Group, string Name, string Script) : Probe(Group, Name)
{
    public const string Refused = "refused", Open = "**open**";

    /// <summary>A control in the box, instead of the one on the host.</summary>
    public string? InBox { get; init; }

    /// <summary>The control on the host, where it is not the attack itself.</summary>
    public string? OnHost { get; init; }

    /// <summary>A kernel without it is no failure of the control: there is nothing to stop then.</summary>
    public bool MayLack { get; init; }

    /// <summary>The kinds of box that do not stop it.</summary>
    public string[] OpenIn { get; init; } = [];

    public override string Control => InBox is null ? "host" : "box";

    public override string Expected(string kind) => OpenIn.Contains(kind) ? Open : Refused;
}

/// <summary>A probe that is driven and judged from outside the box. It asserts its own control and answers what became of it.</summary>
internal sealed record Harm(string Group, string Name, string Outcome, Func<Boxes, Task<string>> RunAsync) : Probe(Group, Name)
{
    /// <summary>Kinds of box with another outcome.</summary>
    public IReadOnlyDictionary<string, string> Otherwise { get; init; } = new Dictionary<string, string>();

    public override string Control => "outside";

    public override string Expected(string kind) => Otherwise.GetValueOrDefault(kind, Outcome);
}
