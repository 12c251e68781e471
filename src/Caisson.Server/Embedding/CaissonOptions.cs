using Caisson.Core.Lifecycle;
using Caisson.Gateway.Providers;
using Caisson.Server.Configuration;
using Microsoft.Extensions.Options;

namespace Caisson.Server.Embedding;

/// <summary>What an application sets of the engine within it. Where and to whom it listens is the application's own matter.</summary>
public sealed class CaissonOptions
{
    /// <summary>Everything durable; one process at a time holds it. Default <c>.caisson</c>; relative paths begin at the content root.</summary>
    public string DataDirectory { get; set; } = ".caisson";

    /// <summary>Model providers by name: the part before the slash in a manifest's model. Agents in code need none.</summary>
    public IList<ProviderOptions> Providers { get; } = [];

    public SandboxServerOptions Sandbox { get; } = new();

    /// <summary>Runs driven at the same time; the rest wait as ready. Default 2,000.</summary>
    public int MaxConcurrentRuns { get; set; } = new EngineOptions().MaxConcurrentRuns;

    internal ServerOptions ToServer(string contentRoot)
    {
        var server = new ServerOptions
        {
            DataDirectory = Path.GetFullPath(DataDirectory, contentRoot),
            Providers = [.. Providers],
            MaxConcurrentRuns = MaxConcurrentRuns,
        };
        server.Sandbox = Sandbox;
        return server;
    }
}

internal sealed class CaissonOptionsCheck : IValidateOptions<CaissonOptions>
{
    public ValidateOptionsResult Validate(string? name, CaissonOptions options)
    {
        var problems = ProviderOptions.Validate([.. options.Providers]).Concat(ProviderOptions.UnknownFallbacks([.. options.Providers])).Select(problem => problem.Message).ToList();
        if (options.DataDirectory.Length == 0)
            problems.Add($"{nameof(CaissonOptions.DataDirectory)}: found an empty path, allowed is a path");
        if (new EngineOptions { MaxConcurrentRuns = options.MaxConcurrentRuns }.Problem() is { } engine)
            problems.Add(engine);
        return problems.Count > 0 ? ValidateOptionsResult.Fail(problems) : ValidateOptionsResult.Success;
    }
}
