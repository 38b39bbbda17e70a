"""The command `verydeep`: one thin module for each verb, imported when the verb is used."""
