using System.Security.Cryptography;

namespace Caisson.Tidy.Tests;

/// <summary>What was recorded once is what later engines must still read: it is added to, never changed.</summary>
public sealed class GoldenTests
{
    private const string Folder = "tests/golden";
    private const string Manifest = Folder + "/SHA256SUMS";

    [Fact]
    public void Golden_journals_are_as_they_were_recorded()
    {
        var sums = Repo.Lines(Manifest).Select(line => line.Split("  ")).ToDictionary(parts => $"{Folder}/{parts[1]}", parts => parts[0]);

        Assert.NotEmpty(sums);
        Repo.Expect("a golden journal is never changed or removed; record another series instead (Caisson.Storage.Tests golden SERIES tests/golden):", [
            .. sums.Keys.Where(file => !Repo.Exists(file)).Select(file => $"{file} is gone"),
            .. sums.Where(sum => Repo.Exists(sum.Key) && HashOf(sum.Key) != sum.Value).Select(sum => $"{sum.Key} was changed"),
            .. Repo.Under(Folder, ".jsonl").Where(file => !sums.ContainsKey(file)).Select(file => $"{file} is not in {Manifest}"),
        ]);
    }

    private static string HashOf(string file) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Repo.FullPath(file))));
}
