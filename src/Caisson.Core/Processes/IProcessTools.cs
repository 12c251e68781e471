using System.Text.Json;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Processes;

/// <summary>Steps that this process executes for a program, as calls of its tool servers, and the boxes that they work in. Those that the program executes itself are <see cref="IProcessSteps"/>.</summary>
public interface IProcessTools
{
    /// <summary>
    /// The end of a step: as recorded, else of the one under way, else it is executed and recorded before this returns.
    /// It goes on when the caller's patience ends. While the run halts, and for a call that a halt has cut short, nothing
    /// is answered until then.
    /// </summary>
    /// <param name="nth">How often the same was asked before in this start of the program.</param>
    /// <param name="body">Throws <see cref="StepFailedException"/> for what surely did not happen.</param>
    Task<StepRecord> RunAsync(ProcessStep step, int nth, Func<StepContext, Task<JsonElement>> body, CancellationToken patience);

    /// <summary>
    /// A box beside the program's, with the files that the run began with and the ways out that its manifest names. It
    /// ends with the ownership, where nobody ends it earlier.
    /// </summary>
    /// <param name="isAtWork">Whether a step is under way in it: only then may something leave it.</param>
    Task<SandboxCreateOutcome> OpenBoxAsync(Func<bool> isAtWork, CancellationToken cancellationToken);

    /// <summary>Ends such a box; nothing in it acts any more when this returns. Idempotent.</summary>
    Task CloseBoxAsync(ISandbox box);

    /// <summary>Where what leaves on behalf of the program is written down.</summary>
    IEgressLog EgressLog(Func<bool> isAtWork);
}

/// <param name="Identity">Hash of what it does: equal steps of one start are told apart by their order.</param>
/// <param name="Arguments">For people; cut to a bound.</param>
public sealed record ProcessStep(StepKind Kind, string Name, string Identity, string? Arguments)
{
    public EffectClass Effect { get; init; } = EffectClass.Idempotent;

    public UnknownPolicy OnUnknown { get; init; } = UnknownPolicy.Report;

    /// <summary>What a person is asked before it executes; <c>null</c>: nobody is.</summary>
    public string? Question { get; init; }
}
