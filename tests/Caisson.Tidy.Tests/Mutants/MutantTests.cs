namespace Caisson.Tidy.Tests.Mutants;

/// <summary>Keeps the list of guards in step with the sources, so that <c>make mutants</c> always says something.</summary>
public sealed class MutantTests
{
    [Fact]
    public void Every_guard_of_the_list_stands_in_the_sources_once() =>
        Repo.Expect(
            "the guard moved: follow it in tests/mutants, and if it went, put the test that it needed elsewhere:",
            from mutant in Mutant.All
            where !Repo.Exists(mutant.File) || !mutant.Fits(Repo.Text(mutant.File))
            select $"{Mutant.Folder}/{mutant.Name}.txt: in {mutant.File}");

    [Fact]
    public void Every_guard_names_tests_that_exist()
    {
        Assert.NotEmpty(Mutant.All);
        Repo.Expect(
            "there is no such class of tests:",
            from mutant in Mutant.All
            where mutant.Tests.Count == 0 || mutant.Tests.Any(t => !Repo.Under($"tests/Caisson.{t.Project}.Tests", ".cs").Any(file => Path.GetFileNameWithoutExtension(file) == t.Class.Split('.')[^1]))
            select $"{Mutant.Folder}/{mutant.Name}.txt");
    }
}
