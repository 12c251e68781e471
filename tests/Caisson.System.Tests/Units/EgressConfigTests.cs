using Caisson.Server.Configuration;

namespace Caisson.System.Tests.Units;

public sealed class EgressConfigTests
{
    private static ConfigOutcome Read(string toml)
    {
        var (settings, problem) = TomlSource.Read(toml, "f");
        Assert.Null(problem);
        return ConfigReader.Bind(settings);
    }

    [Fact]
    public void Grants_are_understood()
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, "a-secret-value\n");
        try
        {
            var options = Assert.IsType<ConfigOutcome.Valid>(Read($$"""
                [egress]
                allow_private = "127.0.0.1:8443, [::1]:9"
                [egress.secrets.github]
                file = "{{path}}"
                header = "X-Token: token={secret};"
                hosts = "api.github.com, *.example.com"
                [services.db]
                address = "127.0.0.1:5432"
                """)).Options.Egress;

            Assert.Equal(["127.0.0.1:8443", "[::1]:9"], options.AllowPrivate.Select(a => a.ToString()));
            Assert.Equal("127.0.0.1:5432", options.Services["db"].ToString());
            var secret = Assert.Single(options.Secrets);
            Assert.Equal(("github", "a-secret-value", "X-Token: token={secret};"), (secret.Name, secret.Value, secret.Header));
            Assert.Equal(["api.github.com", "*.example.com"], secret.Hosts);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("[egress]\nallow_private = \"127.0.0.1\"", "allowed is ADDRESS:PORT")]
    [InlineData("[egress]\nallow_private = \"localhost:1\"", "allowed is ADDRESS:PORT")]
    [InlineData("[egress]\nallow = \"x\"", "unknown key")]
    [InlineData("[egress]\ntrusted_file = \"/nowhere/at/all\"", "cannot be read")]
    [InlineData("[services.db]\naddress = \"db:5432\"", "allowed is ADDRESS:PORT")]
    [InlineData("[services.db]\naddress = \"127.0.0.1:1, 127.0.0.1:2\"", "allowed are 1 to 1")]
    [InlineData("[services.Db]\naddress = \"127.0.0.1:1\"", "no name of a service")]
    [InlineData("[services.db]\nport = 1", "unknown key")]
    [InlineData("[egress.secrets.a]\nhosts = \"a.example\"", "has no value")]
    [InlineData("[egress.secrets.a]\nenv = \"SURELY_NOT_SET_ANYWHERE\"\nhosts = \"a.example\"", "SURELY_NOT_SET_ANYWHERE is not set")]
    [InlineData("[egress.secrets.a]\nenv = \"X\"\nfile = \"y\"\nhosts = \"a.example\"", "both env and file")]
    [InlineData("[egress.secrets.a]\nfile = \"/nowhere/at/all\"\nhosts = \"a.example\"", "cannot be read")]
    [InlineData("[egress.secrets.a]\nenv = \"HOME_OF_TESTS\"", "has no hosts")]
    [InlineData("[egress.secrets.a]\nenv = \"HOME_OF_TESTS\"\nhosts = \"https://a\"", "allowed are names in lower case")]
    [InlineData("[egress.secrets.a]\nenv = \"HOME_OF_TESTS\"\nhosts = \"a.example\"\nheader = \"Host: {secret}\"", "allowed is NAME: TEXT")]
    [InlineData("[egress.secrets.a]\nenv = \"HOME_OF_TESTS\"\nhosts = \"a.example\"\nheader = \"X-Token\"", "allowed is NAME: TEXT")]
    [InlineData("[egress.secrets.a]\nenv = \"SHORT_OF_TESTS\"\nhosts = \"a.example\"", "its value has 3 characters")]
    public void What_is_wrong_is_said_and_never_the_value(string toml, string part)
    {
        Environment.SetEnvironmentVariable("HOME_OF_TESTS", "value-of-the-secret");
        Environment.SetEnvironmentVariable("SHORT_OF_TESTS", "abc");

        var problems = Assert.IsType<ConfigOutcome.Invalid>(Read(toml)).Problems;

        Assert.Contains(problems, p => p.Message.Contains(part, StringComparison.Ordinal));
        Assert.All(problems, p => Assert.DoesNotContain("value-of-the-secret", p.ToString(), StringComparison.Ordinal));
    }
}
