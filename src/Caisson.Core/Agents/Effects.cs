namespace Caisson.Core.Agents;

/// <summary>What repeating a step would do to the world. Decides what happens when its owner dies in the middle of it.</summary>
public enum EffectClass
{
    /// <summary>Changes nothing: it runs again.</summary>
    Read = 1,
    /// <summary>Doing it twice is doing it once: it runs again. The default of named steps.</summary>
    Idempotent = 2,
    /// <summary>Must not happen twice: its start is journaled first, and an interrupted one is of unknown outcome.</summary>
    AtMostOnce = 3,
    /// <summary>Like <see cref="AtMostOnce"/>, with a way to undo it.</summary>
    Compensable = 4,
}

/// <summary>What a check of an interrupted step found.</summary>
public enum EffectState
{
    Done = 1,
    NotDone = 2,
    CannotTell = 3,
}

/// <summary>What becomes of a step whose outcome stays unknown.</summary>
public enum UnknownPolicy
{
    /// <summary>The agent (or the model) is told: the step ends with the failure <c>step_unknown</c>. The default.</summary>
    Report = 1,
    /// <summary>The run pauses until a person resolves the step.</summary>
    AskHuman = 2,
    /// <summary>The step's undo runs, then the step ends with the failure <c>step_compensated</c>.</summary>
    Compensate = 3,
    /// <summary>The run fails.</summary>
    Fail = 4,
}

/// <summary>What a fork does with effects after the place where it begins.</summary>
public enum ForkEffects
{
    /// <summary>They happen.</summary>
    Live = 1,
    /// <summary>Steps that must not be repeated are answered from the parent's journal where it has the same one.</summary>
    FromRecord = 2,
    /// <summary>Steps that must not be repeated end with the failure <c>dry_run</c>.</summary>
    DryRun = 3,
}
