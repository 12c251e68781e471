using System.CommandLine;
using Caisson.Contracts;
using Caisson.Core.Budgets;

namespace Caisson.Cli.Commands;

/// <summary>Limits as flags, of <c>run</c> and <c>resume</c>.</summary>
internal sealed class LimitOptions
{
    private readonly Option<string?> _usd = new("--budget-usd") { Description = "Most money, in US dollars (0.05)", HelpName = "N" };
    private readonly Option<long?> _tokens = new("--budget-tokens") { Description = "Most tokens, in and out together", HelpName = "N" };
    private readonly Option<long?> _steps = new("--max-steps") { Description = "Most steps (model and tool calls)", HelpName = "N" };
    private readonly Option<long?> _toolCalls = new("--max-tool-calls") { Description = "Most tool calls", HelpName = "N" };
    private readonly Option<string?> _deadline = new("--deadline") { Description = "Time from the run's creation (90s, 2h)", HelpName = "TIME" };
    private readonly Option<int?> _repeats = new("--loop-repeats") { Description = "Same call, same result in a row before the loop guard acts", HelpName = "N" };

    internal void AddTo(Command command)
    {
        foreach (var option in new Option[] { _usd, _tokens, _steps, _toolCalls, _deadline, _repeats })
            command.Options.Add(option);
    }

    internal RunOverrides Read(CommandContext context)
    {
        if (context.Get(_usd) is { } usd && !Money.TryParse(usd, out _))
            throw CommandFailure.Usage($"--budget-usd: found '{usd}', allowed is an amount of US dollars as 0.05");
        return new RunOverrides(context.Get(_usd), context.Get(_tokens), context.Get(_steps), context.Get(_toolCalls), context.Duration(_deadline), context.Get(_repeats));
    }
}
