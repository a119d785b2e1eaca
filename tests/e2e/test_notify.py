"""The admin, or whoever is an account's contact, is told of what happens."""
import pytest


@pytest.fixture
def contacts(folder):
    path = folder / "contacts"
    path.write_text("# who is to be told\nalice: owner@private.example\n@example.net: it@agency.example\n")
    return path


def write(path, text):
    """Taken whole, or not at all."""
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


# ---- contacts ----

def test_contacts_that_are_wrong_are_told_with_their_lines(new_gateway, new_smtp, contacts):
    contacts.write_text("alice: owner@private.example\n\nbob: Bob <bob@private.example>\nalice\n")
    gateway = new_gateway(new_smtp(), contacts=str(contacts), start=False)
    said = gateway.check()
    assert said.returncode == 1
    assert f'{contacts}:3: "Bob <bob@private.example>" is no address to write to' in said.stderr
    assert f"{contacts}:4: write it as" in said.stderr


def test_a_change_of_the_contacts_is_taken_unless_it_is_wrong(new_gateway, new_smtp, contacts):
    gateway = new_gateway(new_smtp(), contacts=str(contacts))
    write(contacts, "alice: owner@private.example\n")
    assert gateway.wait_event("list_taken", file=str(contacts))["count"] == "1"
    write(contacts, "alice: -oi@private.example\n")
    assert gateway.wait_event("list_refused")["reason"].startswith(f"{contacts}:1: ")
