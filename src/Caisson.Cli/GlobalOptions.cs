using System.CommandLine;

namespace Caisson.Cli;

internal enum OutputFormat
{
    Table,
    Wide,
    Json,
    Jsonl,
}

/// <summary>Options of every command.</summary>
internal static class GlobalOptions
{
    internal static readonly Option<string> Output = new("--output", "-o")
    {
        Description = "table, wide, json or jsonl",
        DefaultValueFactory = _ => "table",
        Recursive = true,
        HelpName = "FORMAT",
    };

    internal static readonly Option<string?> Server = new("--server")
    {
        Description = "Address of the server (default: $CAISSON_SERVER, then 127.0.0.1:7311)",
        Recursive = true,
        HelpName = "ADDRESS",
    };

    internal static readonly Option<bool> Quiet = new("--quiet", "-q") { Description = "No progress on stderr", Recursive = true };

    internal static readonly Option<bool> Verbose = new("--verbose", "-v") { Description = "More of the log on stderr", Recursive = true };

    internal static readonly Option<bool> NoColor = new("--no-color") { Description = "No colours (also NO_COLOR)", Recursive = true };

    static GlobalOptions() => Output.AcceptOnlyFromAmong("table", "wide", "json", "jsonl");

    /// <summary>From the bare token: errors of parsing are written in the asked format too.</summary>
    internal static OutputFormat Format(ParseResult parse) => parse.GetResult(Output) is { Tokens: [.., var token] } ? token.Value switch
    {
        "wide" => OutputFormat.Wide,
        "json" => OutputFormat.Json,
        "jsonl" => OutputFormat.Jsonl,
        _ => OutputFormat.Table,
    } : OutputFormat.Table;
}
