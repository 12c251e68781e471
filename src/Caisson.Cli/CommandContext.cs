using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Serialization.Metadata;
using Caisson.Cli.Output;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.Core;

namespace Caisson.Cli;

/// <summary>One invocation: the parsed options and the ways to speak.</summary>
internal sealed class CommandContext(Shell shell, ParseResult parse) : IDisposable
{
    private HttpClient? _http;

    internal ParseResult Parse { get; } = parse;

    internal Shell Shell { get; } = shell;

    internal Terminal Terminal => Shell.Terminal;

    internal CancellationToken Interrupted => Shell.Interrupted;

    internal OutputFormat Format { get; } = GlobalOptions.Format(parse);

    internal bool Quiet { get; } = parse.GetValue(GlobalOptions.Quiet);

    internal bool Verbose { get; } = parse.GetValue(GlobalOptions.Verbose);

    internal bool Color { get; } = !parse.GetValue(GlobalOptions.NoColor) && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));

    /// <summary>What to say at Ctrl-C, where something goes on without us.</summary>
    internal string? OnInterrupt { get; set; }

    internal TableView Table => new(Terminal, Color);

    internal CaissonClient Client
    {
        get
        {
            _http ??= new HttpClient(new SocketsHttpHandler
            {
                ConnectTimeout = TimeSpan.FromSeconds(5),
                // A pooled connection may belong to a server that is gone; a call must not fail because of it.
                PooledConnectionIdleTimeout = TimeSpan.FromSeconds(2),
                AllowAutoRedirect = false,
                UseProxy = false,
                UseCookies = false,
            })
            { BaseAddress = ServerAddress(), Timeout = Timeout.InfiniteTimeSpan };
            return new CaissonClient(_http, Shell.Clock);
        }
    }

    internal T? Get<T>(Option<T> option) => Parse.GetValue(option);

    internal T Get<T>(Argument<T> argument) => Parse.GetRequiredValue(argument);

    internal bool IsJson => Format is OutputFormat.Json or OutputFormat.Jsonl;

    /// <summary>Data for programs: indented as <c>json</c>, one line as <c>jsonl</c>.</summary>
    internal void Json<T>(T value, JsonTypeInfo<T> type) => Terminal.WriteLineNow(JsonOut.Text(value, type, Format == OutputFormat.Json));

    /// <summary>Progress: stderr, unless quiet.</summary>
    internal void Progress(string line)
    {
        if (!Quiet)
            Terminal.Error.WriteLine(line);
    }

    /// <summary>A line of ours that also -q lets through.</summary>
    internal void Note(string line) => Terminal.Error.WriteLine($"caisson: {PlainText.Line(line)}");

    internal int Fail(int exit, Problem problem) => Terminal.Fail(Format, exit, problem);

    internal TimeSpan? Duration(Option<string?> option)
    {
        if (Get(option) is not { } text)
            return null;
        return Durations.TryParse(text, out var value) && value > TimeSpan.Zero
            ? value
            : throw CommandFailure.Usage($"{option.Name}: found '{text}', allowed is a duration as 500ms, 30s, 10m, 2h, 1d");
    }

    public void Dispose() => _http?.Dispose();

    private Uri ServerAddress()
    {
        var given = Get(GlobalOptions.Server) ?? Environment.GetEnvironmentVariable("CAISSON_SERVER");
        var text = string.IsNullOrEmpty(given) ? ApiNames.DefaultAddress : given;
        if (!text.Contains("://", StringComparison.Ordinal))
            text = "http://" + text;
        if (!Uri.TryCreate(text.TrimEnd('/') + "/", UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https") || address.Host.Length == 0)
            throw CommandFailure.Usage($"--server: found '{given}', allowed is HOST:PORT or an http address, as 127.0.0.1:7311");
        return address;
    }
}
