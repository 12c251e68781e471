using System.CommandLine;
using Caisson.Contracts;
using Caisson.Core.Budgets;

namespace Caisson.Cli.Commands;

/// <summary>Limits as flags, of <c>run</c> and <c>resume</c>.</summary>
internal sealed class LimitOptions
{
    private readonly Option<string?> _usd = new("--budget-usd") { Description = "Most money, in US dollars (0.05)", HelpName = "N" };
    private readonly Option<long?> _tokens = new("--budget-tokens") { Description = "Most tokens, in and out together", HelpName = "N" };
    private readonly Option<long?> _inputTokens = new("--budget-input-tokens") { Description = "Most tokens in", HelpName = "N" };
    private readonly Option<long?> _outputTokens = new("--budget-output-tokens") { Description = "Most tokens out", HelpName = "N" };
    private readonly Option<long?> _modelCalls = new("--max-model-calls") { Description = "Most model calls", HelpName = "N" };
    private readonly Option<long?> _steps = new("--max-steps") { Description = "Most steps (model calls, tool calls and named steps)", HelpName = "N" };
    private readonly Option<long?> _toolCalls = new("--max-tool-calls") { Description = "Most tool calls", HelpName = "N" };
    private readonly Option<string?> _deadline = new("--deadline") { Description = "Time from the run's creation (90s, 2h)", HelpName = "TIME" };
    private readonly Option<long?> _children = new("--max-children") { Description = "Most runs below this one, over its whole life", HelpName = "N" };
    private readonly Option<long?> _childBreadth = new("--max-child-breadth") { Description = "Most own children alive at the same time", HelpName = "N" };
    private readonly Option<long?> _childDepth = new("--max-child-depth") { Description = "Most generations below the root run", HelpName = "N" };
    private readonly Option<string?> _noProgress = new("--no-progress") { Description = "Time at work without a completed step (10m)", HelpName = "TIME" };
    private readonly Option<int?> _repeats = new("--loop-repeats") { Description = "Same call, same result in a row before the loop guard acts", HelpName = "N" };

    internal void AddTo(Command command)
    {
        foreach (var option in new Option[]
        {
            _usd, _tokens, _inputTokens, _outputTokens, _modelCalls, _steps, _toolCalls, _children, _childBreadth, _childDepth, _deadline, _noProgress, _repeats,
        })
            command.Options.Add(option);
    }

    internal RunOverrides Read(CommandContext context)
    {
        if (context.Get(_usd) is { } usd && !Money.TryParse(usd, out _))
            throw CommandFailure.Usage($"--budget-usd: found '{usd}', allowed is an amount of US dollars as 0.05");
        return new RunOverrides(context.Get(_usd), context.Get(_tokens), context.Get(_steps), context.Get(_toolCalls), context.Duration(_deadline), context.Get(_repeats))
        {
            InputTokens = context.Get(_inputTokens),
            OutputTokens = context.Get(_outputTokens),
            ModelCalls = context.Get(_modelCalls),
            Children = context.Get(_children),
            ChildBreadth = context.Get(_childBreadth),
            ChildDepth = context.Get(_childDepth),
            NoProgress = context.Duration(_noProgress),
        };
    }
}
