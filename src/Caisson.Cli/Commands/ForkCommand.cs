using System.CommandLine;
using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Lifecycle;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson fork RUN</c>: another run that goes on from a place in this one.</summary>
internal static class ForkCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<long?> At = new("--at") { Description = "The last journal entry to bring along (default: the last one with a result)", HelpName = "SEQ" };
    private static readonly Option<string?> Input = new("--input", "-i") { Description = "Another input: text, @FILE, or - for stdin", HelpName = "TEXT" };
    private static readonly Option<string?> Effects = new("--effects") { Description = "What must not be repeated: live (default), from_record or dry_run", HelpName = "HOW" };
    private static readonly Option<bool> Admin = new("--admin") { Description = "Let limits rise above those of the run that it comes from" };
    private static readonly Option<string?> Key = new("--idempotency-key") { Description = "The same key starts one fork only", HelpName = "KEY" };
    private static readonly Option<bool> Wait = new("--wait") { Description = "Wait for the end and print the result" };
    private static readonly Option<bool> Stream = new("--stream") { Description = "Show steps as they happen; implies --wait" };

    static ForkCommand() => Effects.AcceptOnlyFromAmong("live", "from_record", "dry_run");

    internal static Command Create(Shell shell)
    {
        var limits = new LimitOptions();
        var command = new Command("fork", "Start another run from a place in this one") { Run, At, Input, Effects, Admin, Key, Wait, Stream };
        limits.AddTo(command);
        shell.Bind(command, context => ForkAsync(context, limits));
        return command;
    }

    private static async Task<int> ForkAsync(CommandContext context, LimitOptions limits)
    {
        var input = await InputText.ReadAsync(context.Get(Input), "--input", NewRuns.MaxInputBytes, context.Interrupted);
        var request = new ForkRequest(context.Get(At), input, limits.Read(context), context.Get(Effects), context.Get(Admin));
        var key = context.Get(Key) ?? context.Shell.Ids.NextRandom().ToString("N", CultureInfo.InvariantCulture);
        var (run, existing) = await Resend.UntilAnsweredAsync(context, token => context.Client.ForkAsync(context.Get(Run), request, key, token));
        if (existing && context.Get(Key) is not null)
            context.Progress($"run {run.Id} exists already under this idempotency key");
        if (context.Get(Wait) || context.Get(Stream))
            return await RunCommand.WatchAsync(context, run.Id, 0, context.Get(Stream));
        if (context.IsJson)
            context.Json(run, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLineNow(run.Id);
        return ExitCodes.Ok;
    }
}
