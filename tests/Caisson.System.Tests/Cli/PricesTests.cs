using System.Text.Json;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Cli;

/// <summary>The command as users start it; no server is needed.</summary>
public sealed class PricesTests : IDisposable
{
    private const string List = """
        {
          "gpt-4o": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 7e-06, "output_cost_per_token": 9e-06 },
          "painter": { "litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04 }
        }
        """;

    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task An_imported_list_is_used_when_the_configuration_names_it()
    {
        await File.WriteAllTextAsync(At("list.json"), List, TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(At("caisson.toml"), """
            prices = "prices.json"
            [providers.openai]
            base_url = "http://127.0.0.1:1/v1"
            [providers.openai.prices."gpt-5*"]
            input = 1
            output = 2
            """, TestContext.Current.CancellationToken);

        var imported = await RunAsync("prices", "import", "list.json");
        var table = await ShowAsync("openai/gpt-4o");
        var builtIn = await ShowAsync("openai/gpt-4o-mini");
        var configured = await ShowAsync("openai/gpt-5-mini");
        var listed = await RunAsync("prices", "list", "--model", "openai/gpt-4o", "-o", "jsonl");

        Assert.Equal(0, imported.Exit);
        Assert.Equal("skipped painter: mode 'image_generation' is not billed by tokens of text\n", imported.Error);
        Assert.Contains($"digest {table.GetProperty("digest").GetString()}; put prices = \"prices.json\"", imported.Out, StringComparison.Ordinal);
        Assert.Equal((7_000_000, "prices.json"), (table.GetProperty("input").GetInt64(), table.GetProperty("from").GetString()));
        Assert.StartsWith("litellm list.json, sha256 ", table.GetProperty("source").GetString(), StringComparison.Ordinal);
        Assert.Equal((150_000, "the built-in table"), (builtIn.GetProperty("input").GetInt64(), builtIn.GetProperty("from").GetString()));
        Assert.Equal((1_000_000, "providers.openai.prices.gpt-5*"), (configured.GetProperty("input").GetInt64(), configured.GetProperty("from").GetString()));
        Assert.Equal(["prices.json", "the built-in table"], listed.Out.TrimEnd('\n').Split('\n').Select(l => JsonDocument.Parse(l).RootElement.GetProperty("from").GetString()));
        Assert.Equal(["caisson.toml", "list.json", "prices.json"], Directory.EnumerateFiles(_folder.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task A_list_that_cannot_be_used_leaves_the_table_that_is_there()
    {
        await File.WriteAllTextAsync(At("list.json"), List[..^5], TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(At("prices.json"), "the old one", TestContext.Current.CancellationToken);

        var refused = await RunAsync("prices", "import", "list.json");
        var nowhere = await RunAsync("prices", "import", "there-is-none.json");

        Assert.Equal(3, refused.Exit);
        Assert.Contains("list.json: no JSON", refused.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(2, nowhere.Exit);
        Assert.Equal("the old one", await File.ReadAllTextAsync(At("prices.json"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_configuration_with_a_bad_table_or_a_model_without_price_ends_with_one_line()
    {
        await File.WriteAllTextAsync(At("caisson.toml"), "prices = \"prices.json\"\n", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(At("prices.json"), """{"source": "s", "date": "2026-08-01", "providers": {"p": [{"match": ["m"], "input": 0.5, "output": 1}]}}""", TestContext.Current.CancellationToken);

        var bad = await RunAsync("prices", "list");
        File.Delete(At("caisson.toml"));
        var unknown = await RunAsync("prices", "show", "openai/nobody-knows-it");

        Assert.Equal(3, bad.Exit);
        Assert.Contains("caisson.toml:1: prices: prices.json: providers.p[0].input: allowed is a whole number", bad.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(5, unknown.Exit);
        Assert.Contains("openai/nobody-knows-it has no known price", unknown.ErrorLine, StringComparison.Ordinal);
    }

    private string At(string name) => Path.Combine(_folder.Path, name);

    private Task<Answer> RunAsync(params string[] arguments) => CaissonProgram.RunAsync(arguments, directory: _folder.Path);

    private async Task<JsonElement> ShowAsync(string model)
    {
        var answer = await RunAsync("prices", "show", model, "-o", "json");
        Assert.True(answer.Exit == 0, answer.Error + answer.Out);
        return Assert.Single(JsonDocument.Parse(answer.Out).RootElement.GetProperty("items").EnumerateArray());
    }
}
