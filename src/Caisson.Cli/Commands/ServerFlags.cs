using System.CommandLine;
using Caisson.Contracts;
using Caisson.Server.Configuration;

namespace Caisson.Cli.Commands;

/// <summary>Flags of the commands that need the server's configuration.</summary>
internal sealed class ServerFlags
{
    private readonly Option<string?> _config = new("--config") { Description = "Configuration file (default: caisson.toml, if there is one)", HelpName = "FILE" };
    private readonly Option<string?> _data = new("--data") { Description = "Data directory", HelpName = "DIR" };

    // The last one counts: the supervisor appends the address that it has bound.
    private readonly Option<string[]> _listen = new("--listen") { Description = "Address and port; port 0 takes a free one", HelpName = "ADDRESS:PORT" };
    private readonly Option<bool> _supervise = new("--supervise") { Description = "Start the server again when it dies or hangs" };

    internal void AddTo(Command command, bool supervise = true)
    {
        command.Options.Add(_config);
        command.Options.Add(_data);
        command.Options.Add(_listen);
        if (supervise)
            command.Options.Add(_supervise);
    }

    internal bool Supervise(CommandContext context) => context.Get(_supervise);

    /// <param name="dataDirectory">Where the data is when neither file nor environment nor flag says so.</param>
    internal ServerOptions Read(CommandContext context, string? dataDirectory)
    {
        var flags = new List<ConfigSetting>();
        if (context.Get(_data) is { } data)
            flags.Add(new ConfigSetting(["data", "directory"], data, "--data"));
        if (context.Get(_listen) is [.., var listen])
            flags.Add(new ConfigSetting(["server", "listen"], listen, "--listen"));
        return Read(context, context.Get(_config), flags, dataDirectory);
    }

    /// <summary>The configuration, or its problems: all but the last as notes, that one as the failure.</summary>
    internal static ServerOptions Read(CommandContext context, string? file, IReadOnlyList<ConfigSetting> flags, string? dataDirectory)
    {
        switch (ConfigReader.Read(file, Environment.GetEnvironmentVariables(), flags, dataDirectory))
        {
            case ConfigOutcome.Valid valid:
                return valid.Options;
            case ConfigOutcome.Invalid invalid:
                foreach (var problem in invalid.Problems.Take(invalid.Problems.Count - 1))
                    context.Note(problem.ToString());
                throw new CommandFailure(ExitCodes.Config, ErrorCodes.ConfigInvalid, invalid.Problems[^1].ToString());
            default:
                throw new InvalidOperationException("unreachable");
        }
    }
}
