using System.Globalization;
using System.Text;

namespace Caisson.System.Tests.Clients;

/// <summary>Who dies.</summary>
internal enum Victim
{
    Nobody,
    /// <summary>The agent's own process, in its box.</summary>
    Agent,
    Server,
}

/// <summary>Where in the work somebody is killed with SIGKILL.</summary>
/// <param name="Call">From 1.</param>
/// <param name="InCall">While the provider has that call: a whole answer is not begun, a streamed one stands in its middle. Else: behind it, before the next one.</param>
internal sealed record KillPoint(Victim Victim, int Call, bool InCall)
{
    internal static readonly KillPoint None = new(Victim.Nobody, 0, false);

    // Only the first start of the program meets this; the ones after it go on.
    private const string Stop = "[ \"$CAISSON_RUN_EPOCH-$CAISSON_ATTEMPT\" != 1-1 ] || sleep 1000";

    // Behind an answer without a command it is the check of that part that stands still.
    private static readonly (int Call, string Part)[] Checked = [(3, "1"), (6, "2")];

    /// <summary>The model whose script brings the work to this point and lets it stand there.</summary>
    internal string Model => this switch
    {
        { Victim: Victim.Nobody } => "plain",
        { InCall: true } => Invariant($"held-{Call}"),
        _ when Part is not null => "plain",
        _ => Invariant($"stop-{Call}"),
    };

    /// <summary>The command by which each part of the work is checked; the part is its first argument.</summary>
    internal string Check => Victim == Victim.Nobody || InCall || Part is not { } part ? "true" : $"[ \"$1\" != {part} ] || {Stop}";

    private string? Part => Checked.Where(c => c.Call == Call).Select(c => c.Part).FirstOrDefault();

    public override string ToString() => this == None ? "nobody is killed" : Invariant($"the {(Victim == Victim.Agent ? "agent" : "server")} is killed {(InCall ? "in" : "behind")} call {Call}");

    /// <summary>One script for each point, and one for the work that nobody stops.</summary>
    internal static string Scripts()
    {
        var text = new StringBuilder("scripts:\n");
        Write(text, "plain", 0, 0);
        for (var call = 1; call <= RealClient.Calls; call++)
        {
            Write(text, Invariant($"held-{call}"), call, 0);
            Write(text, Invariant($"stop-{call}"), 0, call);
        }

        return text.ToString();
    }

    private static void Write(StringBuilder text, string model, int held, int stop)
    {
        text.Append(CultureInfo.InvariantCulture, $"  - model: {model}\n    turns:\n");
        for (var call = 1; call <= RealClient.Calls; call++)
        {
            text.Append(CultureInfo.InvariantCulture, $"      - say: {(call == RealClient.Calls ? RealClient.Result[..^8] : $"This is what I think before I go on with step {call} of it.")}\n");
            if (!Checked.Any(c => c.Call == call))
                text.Append(CultureInfo.InvariantCulture, $"        call: {{ name: shell, arguments: {{ command: '{(call == stop ? Stop + "; " : "")}echo {"ab.cd"[call - 1]} >> notes.txt; wc -l < notes.txt' }} }}\n");
            if (call == held)
                text.Append(call <= RealClient.Calls / 2 ? $"        delay: {HeldClock.Delay.TotalMinutes}m\n" : $"        pace: {HeldClock.Pace.TotalMinutes}m\n");
        }
    }

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
