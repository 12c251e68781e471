using System.CommandLine;
using System.Globalization;
using System.IO.Enumeration;
using Caisson.Cli.Output;
using Caisson.Cli.Prices;
using Caisson.Contracts;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Prices.Import;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson prices import | list | show</c>: what tokens cost, and who says so.</summary>
internal static class PricesCommands
{
    private const int MostLines = 20;

    private static readonly Option<string?> Config = new("--config") { Description = "Configuration file (default: caisson.toml, if there is one)", HelpName = "FILE" };

    internal static Command Create(Shell shell) => new("prices", "Show what models cost, and take over public price lists") { Import(shell), List(shell), Show(shell) };

    private static Command Import(Shell shell)
    {
        var file = new Argument<string>("FILE") { Description = "A list of genai-prices or LiteLLM" };
        var format = new Option<string?>("--format") { Description = "genai-prices or litellm (default: by the content)", HelpName = "FORMAT" };
        format.AcceptOnlyFromAmong("genai-prices", "litellm");
        var target = new Option<string>("--out") { Description = "Where to write the table; replaced whole", DefaultValueFactory = _ => "prices.json", HelpName = "FILE" };
        var command = new Command("import", "Make a price table of a public list") { file, format, target };
        shell.Bind(command, async context =>
        {
            var from = context.Get(file);
            var to = context.Get(target)!;
            PriceFormat? named = context.Get(format) switch { "genai-prices" => PriceFormat.GenaiPrices, "litellm" => PriceFormat.LiteLlm, _ => null };
            var list = await ReadAsync(from, context.Interrupted);
            var today = DateOnly.FromDateTime(context.Shell.Clock.GetUtcNow().UtcDateTime);
            switch (PriceImport.Read(list, named, Path.GetFileName(from), today))
            {
                case PriceImportOutcome.Refused(var message):
                    throw new CommandFailure(ExitCodes.Config, ErrorCodes.PricesInvalid, message);
                case PriceImportOutcome.Imported imported:
                    await WholeFile.WriteAsync(to, imported.File, context.Interrupted);
                    Report(context, imported, to);
                    return ExitCodes.Ok;
                default:
                    throw new InvalidOperationException("unreachable");
            }
        });
        return command;
    }

    private static Command List(Shell shell)
    {
        var model = new Option<string?>("--model") { Description = "Only models that fit: a name or a glob, as gpt-5* or openai/*", HelpName = "PATTERN" };
        var command = new Command("list", "Show all prices in force") { model, Config };
        shell.Bind(command, context =>
        {
            var asked = context.Get(model);
            var lines = new PriceBook(ServerFlags.Read(context, context.Get(Config), [], null)).All.Where(line => asked is null || Fits(asked, line)).ToList();
            Write(context, lines, asked is null ? "there are no prices" : $"no price fits '{asked}'");
            return Task.FromResult(ExitCodes.Ok);
        });
        return command;
    }

    private static Command Show(Shell shell)
    {
        var model = new Argument<string>("MODEL") { Description = "PROVIDER/MODEL, as manifests name it; MODEL alone: at every provider that has it" };
        var command = new Command("show", "Show a model's price and where it comes from") { model, Config };
        shell.Bind(command, context =>
        {
            var asked = context.Get(model);
            var lines = new PriceBook(ServerFlags.Read(context, context.Get(Config), [], null)).Of(asked);
            if (lines.Count == 0)
                throw new CommandFailure(ExitCodes.NotFound, ErrorCodes.ModelUnpriced, $"{asked} has no known price: set providers.NAME.prices, or import a list that has it with 'caisson prices import'");
            Write(context, lines, "");
            return Task.FromResult(ExitCodes.Ok);
        });
        return command;
    }

    private static void Report(CommandContext context, PriceImportOutcome.Imported imported, string target)
    {
        var (prices, providers) = (imported.Table.All.Count(), imported.Table.All.Select(p => p.Provider).Distinct(StringComparer.OrdinalIgnoreCase).Count());
        if (context.IsJson)
        {
            context.Json(
                new PriceImportView(1, target, imported.Table.Origin.Digest, imported.Table.Origin.Source ?? "", prices, providers, imported.SkippedInAll, [.. imported.Skipped.Select(s => new SkippedPriceView(s.Name, s.Reason))]),
                CliJson.Default.PriceImportView);
            return;
        }

        var shown = context.Verbose ? imported.Skipped.Count : Math.Min(MostLines, imported.Skipped.Count);
        foreach (var skipped in imported.Skipped.Take(shown))
            context.Progress($"skipped {PlainText.Line(skipped.Name)}: {PlainText.Line(skipped.Reason)}");
        if (imported.SkippedInAll > shown)
            context.Progress(string.Create(CultureInfo.InvariantCulture, $"skipped {imported.SkippedInAll - shown} more{(context.Verbose ? "" : "; -v shows them")}"));
        context.Terminal.WriteLine(PlainText.Line(string.Create(CultureInfo.InvariantCulture,
            $"{target}: {prices} names of {providers} providers, {imported.SkippedInAll} skipped; digest {imported.Table.Origin.Digest}; put prices = \"{target}\" at the top of caisson.toml to use it")));
    }

    private static void Write(CommandContext context, IReadOnlyList<PriceLine> lines, string nothing)
    {
        if (context.Format == OutputFormat.Json)
            context.Json(new PriceListView(1, lines), CliJson.Default.PriceListView);
        else if (context.Format == OutputFormat.Jsonl)
        {
            foreach (var line in lines)
                context.Json(line, CliJson.Default.PriceLine);
        }
        else if (lines.Count == 0)
            context.Progress(nothing);
        else
        {
            string[] head = ["PROVIDER", "MODEL", "INPUT", "CACHED", "WRITTEN", "OUTPUT", "CONTEXT", "FROM"];
            context.Table.Rows(context.Format == OutputFormat.Wide ? [.. head, "SOURCE", "DIGEST"] : head, lines.Select(line => Cells(line, context.Format == OutputFormat.Wide)));
            context.Progress("in US dollars per million tokens");
        }
    }

    private static string[] Cells(PriceLine line, bool wide)
    {
        var over = line.Over is { } tier ? string.Create(CultureInfo.InvariantCulture, $" ({Usd(tier.Input)}/{Usd(tier.Output)} from {tier.Tokens})") : "";
        string[] cells =
        [
            line.Provider, line.Model, Usd(line.Input), Usd(line.Cached), Usd(line.CacheWrite), Usd(line.Output) + over,
            line.Context?.ToString(CultureInfo.InvariantCulture) ?? "", line.From + (line.Date is { } date ? $", {date}" : ""),
        ];
        return wide ? [.. cells, line.Source ?? "", line.Digest] : cells;
    }

    private static string Usd(long? pico) => pico is { } rate ? (rate / 1_000_000m).ToString("0.######", CultureInfo.InvariantCulture) : "";

    private static bool Fits(string pattern, PriceLine line) =>
        FileSystemName.MatchesSimpleExpression(pattern, pattern.Contains('/', StringComparison.Ordinal) ? $"{line.Provider}/{line.Model}" : line.Model);

    private static async Task<byte[]> ReadAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            await using var file = File.OpenRead(path);
            using var bytes = new MemoryStream();
            var buffer = new byte[64 << 10];
            for (int count; (count = await file.ReadAsync(buffer, cancellationToken)) > 0 && bytes.Length <= PriceImport.MostBytes;)
                await bytes.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
            return bytes.ToArray();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw CommandFailure.Usage($"FILE: cannot read '{path}' ({e.Message}): give a readable file");
        }
    }
}
